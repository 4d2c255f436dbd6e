//! Dtypes and layouts that Burn's own operations take are taken by the kernels of Flex, with the same results.

use crate::{Precision, add_product, embedding, linear, linear_cross_entropy};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, IntDType, Tensor, TensorData, Tolerance};
use burn_flex::Flex;
use burn_ndarray::NdArray;

type Reference = NdArray<f32>;

/// Numbers that are different, in f32.
fn numbers<B: Backend, const D: usize>(shape: [usize; D]) -> Tensor<B, D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|k| (k * 7 % 11) as f32 - 5.0).collect();
    Tensor::from_data(
        TensorData::new(values, shape),
        (&Default::default(), DType::F32),
    )
}

fn tokens<B: Backend>() -> Tensor<B, 1, Int> {
    Tensor::from_data(TensorData::from([2_i64, 0, 3]), &Default::default())
}

#[test]
fn token_ids_may_be_integers_of_any_width() {
    let (table, hidden) = (numbers::<Flex, 2>([4, 3]), numbers::<Flex, 2>([3, 3]));
    let weight = numbers::<Flex, 2>([3, 4]);
    let embedded = embedding(table.clone(), tokens());
    let loss =
        |tokens| linear_cross_entropy(hidden.clone(), weight.clone(), tokens, Precision::F32);
    let expected = loss(tokens());
    for dtype in [
        IntDType::I8,
        IntDType::I16,
        IntDType::I32,
        IntDType::I64,
        IntDType::U8,
        IntDType::U16,
        IntDType::U32,
        IntDType::U64,
    ] {
        let ids = tokens::<Flex>().cast(dtype);
        embedding(table.clone(), ids.clone())
            .into_data()
            .assert_eq(&embedded.to_data(), true);
        loss(ids).into_data().assert_eq(&expected.to_data(), true);
    }
}

#[test]
fn a_product_is_added_to_a_weight_of_any_float_dtype() {
    let added = |dtype: DType| {
        let weight = numbers::<Flex, 2>([5, 4]).cast(dtype);
        add_product(weight, numbers([2, 5]), numbers([2, 4]), None)
    };
    let expected = added(DType::F32);
    for dtype in [DType::F64, DType::F16, DType::BF16] {
        let found = added(dtype);
        assert_eq!(found.dtype(), dtype);
        // Small whole numbers have no rounding in any of them.
        found
            .cast(DType::F32)
            .into_data()
            .assert_eq(&expected.to_data(), true);
    }
}

#[test]
fn operands_may_be_broadcast() {
    /// One number, one row, and one column cut out of a wider matrix, as large matrices.
    fn weights<B: Backend>() -> [Tensor<B, 2>; 3] {
        [
            numbers::<B, 2>([1, 1]).expand([6, 5]),
            numbers::<B, 2>([1, 5]).expand([6, 5]),
            numbers::<B, 2>([6, 3]).slice([0..6, 1..2]).expand([6, 5]),
        ]
    }
    for precision in [Precision::F32, Precision::Bf16] {
        for (ours, reference) in weights::<Flex>().into_iter().zip(weights::<Reference>()) {
            let found = linear(numbers([4, 6]), ours, precision).into_data();
            // Whole numbers are not rounded.
            let expected = linear(numbers([4, 6]), reference, Precision::F32).into_data();
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        }
    }
}
