//! The operations of optimizers on burn-wgpu, compared with tensor operations on a CPU.

use super::model::Unfused;
use crate::operations::Optimizer;
use crate::registry::optimizer;
use crate::tests::computed::PLAIN;
use crate::tests::numbers::{close, numbers, put, values};
use crate::{AdamWRows, Moments};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use burn_ndarray::NdArray;
use burn_wgpu::Wgpu;

/// The way to compute on tensors of f32.
fn optimizer_of<B: Backend>() -> &'static dyn Optimizer<B> {
    optimizer(&Tensor::<B, 1>::empty(
        [1],
        (&Default::default(), DType::F32),
    ))
}

/// Parameter and moments after two updates. If `held`, also copies from before that share their memory.
fn updated<B: Backend>(
    by: &dyn Optimizer<B>,
    shape: [usize; 2],
    rows: [&AdamWRows; 2],
    verdicts: [Option<f32>; 2],
    held: bool,
) -> Vec<Vec<f64>> {
    let input = |stream| put::<B>(numbers(5, stream, shape), shape, DType::F32);
    let parameter = input(0);
    let copy = held.then(|| parameter.clone());
    let verdicts = verdicts.map(|verdict| {
        let data = TensorData::from([verdict?]);
        Some(Tensor::from_data(data, (&Default::default(), DType::F32)))
    });
    let [at_first, then] = verdicts;
    let (parameter, moments) = by.adamw(parameter, input(1), None, rows[0], at_first);
    let copies = held.then(|| moments.clone());
    let (parameter, moments) = by.adamw(parameter, input(2), Some(moments), rows[1], then);
    let Moments { first, second } = moments;
    let copies = copies.map(|copies| [copies.first, copies.second]);
    let held = copy.into_iter().chain(copies.into_iter().flatten());
    let all = [parameter, first, second].into_iter().chain(held);
    all.map(values).collect()
}

#[test]
fn adamw_on_wgpu_is_that_of_tensor_operations_and_leaves_copies_alone() {
    let alike = AdamWRows {
        beta_1: 0.9,
        beta_2: 0.999,
        gradient_scale: 0.5,
        rates: vec![0.01],
        epsilons: vec![1e-8],
        remaining: vec![0.99],
        reset: vec![],
        frozen: vec![],
    };
    for shape in [[1, 1], [7, 5], [6, 64], [130, 12]] {
        let each = |of: fn(f32) -> f32| (0..shape[0]).map(|row| of(row as f32)).collect();
        let by_row = AdamWRows {
            gradient_scale: 1.0,
            rates: each(|row| 0.01 + row * 1e-4),
            epsilons: each(|row| 1e-8 * (1.0 + row)),
            remaining: each(|row| 1.0 - row * 1e-3),
            reset: (0..shape[0]).step_by(3).collect(),
            frozen: (0..shape[0]).step_by(2).collect(),
            ..alike.clone()
        };
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
        ] {
            for held in [false, true] {
                let expected = updated::<NdArray>(&PLAIN, shape, rows, verdicts, held);
                let by = optimizer_of();
                let fused = updated::<Wgpu>(by, shape, rows, verdicts, held);
                let by = optimizer_of();
                let unfused = updated::<Unfused>(by, shape, rows, verdicts, held);
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

/// Every operation of an optimizer except for AdamW: reads rows, writes them elsewhere, adds a product, sums squares.
fn rows_and_sums<B: Backend>(
    by: &dyn Optimizer<B>,
    shape: [usize; 2],
    terms: usize,
) -> Vec<Vec<f64>> {
    let [count, columns] = shape;
    let matrix = put::<B>(numbers(6, 0, shape), shape, DType::F32);
    let rows = [count - 1, 0, count / 2];
    let read = by.gather_rows(&matrix, &rows[..terms.min(3)]);
    let written = by.scatter_rows(matrix.clone(), &rows[..terms.min(3)], read.clone() * 2.0);
    let left = put::<B>(numbers(6, 1, [terms, count]), [terms, count], DType::F32);
    let right = put::<B>(
        numbers(6, 2, [terms, columns]),
        [terms, columns],
        DType::F32,
    );
    let sum = by.add_product(written.clone(), left, right);
    let squares: Tensor<B, 2> = by.sum_of_squares(sum.clone()).unsqueeze();
    let all = [matrix, read, written, sum, squares];
    all.map(values).into()
}

#[test]
fn rows_products_and_sums_on_wgpu_are_those_of_a_cpu() {
    for (shape, terms) in [([3, 1], 1), ([37, 20], 3), ([700, 333], 2), ([40, 64], 20)] {
        let expected = rows_and_sums::<NdArray>(&PLAIN, shape, terms);
        let by = optimizer_of();
        for (found, expected) in rows_and_sums::<Wgpu>(by, shape, terms)
            .iter()
            .zip(&expected)
        {
            // Sums of up to 233 100 squares, which NdArray adds one after the other.
            close(found, expected, 1e-5).unwrap();
        }
    }
}
