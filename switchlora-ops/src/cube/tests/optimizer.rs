//! The operations of optimizers, compared with tensor operations on a CPU.

use super::Device;
use crate::AdamWRows;
use crate::check::computed::PLAIN;
use crate::check::optimizer::{alike, different, rows_and_sums, updated};
use crate::check::optimizer_of;
use crate::tests::close::close;
use burn::tensor::DType;
use burn_ndarray::NdArray;

pub(super) fn adamw_is_that_of_tensor_operations_and_leaves_copies_alone<D: Device>() {
    let alike = alike();
    for shape in [[1, 1], [7, 5], [6, 64], [130, 12]] {
        let by_row = different(shape[0]);
        let marked = AdamWRows {
            reset: vec![shape[0] - 1],
            ..alike.clone()
        };
        for (rows, verdicts) in [
            ([&alike, &alike], [None, None]),
            ([&by_row, &by_row], [None, None]),
            ([&alike, &marked], [Some(0.5), Some(0.25)]),
            // Refused at the first update, and at the second.
            ([&by_row, &by_row], [Some(-1.0), Some(0.5)]),
            ([&alike, &by_row], [None, Some(-1.0)]),
            ([&by_row, &alike], [Some(0.5), Some(f32::NAN)]),
        ] {
            for held in [false, true] {
                let expected = updated::<NdArray>(&PLAIN, DType::F32, shape, rows, verdicts, held);
                let by = optimizer_of();
                let fused = updated::<D::Fused>(by, DType::F32, shape, rows, verdicts, held);
                let by = optimizer_of();
                let unfused = updated::<D::Unfused>(by, DType::F32, shape, rows, verdicts, held);
                for found in [fused, unfused] {
                    assert_eq!(found.len(), expected.len());
                    for (found, expected) in found.iter().zip(&expected) {
                        // A few roundings of f32.
                        close(found, expected, 1e-6).unwrap();
                    }
                }
            }
        }
    }
}

pub(super) fn rows_products_and_sums_are_those_of_a_cpu<D: Device>() {
    for (shape, terms) in [([3, 1], 1), ([37, 20], 3), ([700, 333], 2), ([40, 64], 20)] {
        let expected = rows_and_sums::<NdArray>(&PLAIN, DType::F32, shape, terms);
        let by = optimizer_of();
        for (found, expected) in rows_and_sums::<D::Fused>(by, DType::F32, shape, terms)
            .iter()
            .zip(&expected)
        {
            // Sums of up to 233 100 squares, which NdArray adds one after the other.
            close(found, expected, 1e-5).unwrap();
        }
    }
}
