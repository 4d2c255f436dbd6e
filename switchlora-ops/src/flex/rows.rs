//! Reading and writing a few rows of a matrix.

use super::slices::{contiguous, fresh, owned, refuses, rows_and_columns, scalar, slice};
use crate::kernels::Kernels;
use crate::operations::Rows;
use crate::primitive::tensor;
use burn::tensor::Tensor;
use burn_flex::Flex;

impl Rows<Flex> for Kernels {
    fn gather_rows(&self, matrix: &Tensor<Flex, 2>, rows: &[usize]) -> Tensor<Flex, 2> {
        let matrix = contiguous(matrix.clone());
        let [_, columns] = rows_and_columns(&matrix);
        let elements = slice(&matrix);
        let row = |&row: &usize| &elements[row * columns..(row + 1) * columns];
        let gathered = rows.iter().flat_map(row).copied().collect();
        fresh(gathered, [rows.len(), columns])
    }

    fn scatter_rows(
        &self,
        matrix: Tensor<Flex, 2>,
        rows: &[usize],
        values: Tensor<Flex, 2>,
        verdict: Option<Tensor<Flex, 1>>,
    ) -> Tensor<Flex, 2> {
        if verdict.map(scalar).is_some_and(refuses) {
            return matrix;
        }
        let (mut matrix, values) = (owned(matrix), contiguous(values));
        let [_, columns] = rows_and_columns(&matrix);
        let elements = matrix.storage_mut::<f32>();
        for (row, values) in rows.iter().zip(slice(&values).chunks(columns.max(1))) {
            elements[row * columns..(row + 1) * columns].copy_from_slice(values);
        }
        tensor(matrix)
    }
}
