//! A product of thin matrices, added to a weight in f32 or in bf16 in place: what a switch does to a frozen weight.

use super::slices::{contiguous, owned, refuses, rows_and_columns, scalar, slice};
use super::thin::add_thin_product;
use crate::kernels::Kernels;
use crate::operations::AddProduct;
use crate::primitive::tensor;
use burn::tensor::{DType, Tensor};
use burn_flex::Flex;
use half::bf16;

impl AddProduct<Flex> for Kernels {
    fn add_product(
        &self,
        weight: Tensor<Flex, 2>,
        left: Tensor<Flex, 2>,
        right: Tensor<Flex, 2>,
        verdict: Option<Tensor<Flex, 1>>,
    ) -> Tensor<Flex, 2> {
        if verdict.map(scalar).is_some_and(refuses) {
            return weight;
        }
        let dtype = weight.dtype();
        if !matches!(dtype, DType::F32 | DType::BF16) {
            // Rare, and rounded once as well.
            let weight = weight.cast(DType::F32);
            return self.add_product(weight, left, right, None).cast(dtype);
        }
        let (mut weight, left, right) = (owned(weight), contiguous(left), contiguous(right));
        let [_, columns] = rows_and_columns(&weight);
        let (left, right) = (slice(&left), slice(&right));
        match weight.dtype() {
            DType::BF16 => add_thin_product::<bf16>(weight.storage_mut(), columns, left, right),
            _ => add_thin_product::<f32>(weight.storage_mut(), columns, left, right),
        }
        tensor(weight)
    }
}
