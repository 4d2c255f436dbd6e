//! Single rows of a matrix, read and written.

use crate::Precision;
use crate::operations::operations;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The given rows of `matrix: [rows, columns]`, in that order, in memory of their own.
///
/// What shares memory with a matrix keeps it from being changed in place.
pub fn gather_rows<B: Backend>(matrix: &Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
    operations::<B>(matrix.dtype(), Precision::F32).gather_rows(matrix, rows)
}

/// `matrix: [rows, columns]` with the given rows replaced by those of `values`; in place if nobody else holds it.
pub fn scatter_rows<B: Backend>(
    matrix: Tensor<B, 2>,
    rows: &[usize],
    values: Tensor<B, 2>,
) -> Tensor<B, 2> {
    match rows.is_empty() {
        true => matrix,
        false => operations::<B>(matrix.dtype(), Precision::F32).scatter_rows(matrix, rows, values),
    }
}

/// The maximal runs of consecutive numbers in `rows`, as `(start, length)`, in order.
pub(crate) fn runs(rows: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &row in rows {
        match runs.last_mut() {
            Some((start, count)) if *start + *count == row => *count += 1,
            _ => runs.push((row, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use burn_ndarray::NdArray;
    use proptest::prelude::*;

    fn values<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    /// Rows that are read and then written to others, which are the reverse, and the matrix they came from.
    fn moved<B: Backend>(count: usize, columns: usize, rows: &[usize]) -> [Vec<f32>; 3] {
        let numbers: Vec<f32> = (0..count * columns).map(|i| i as f32).collect();
        let data = TensorData::new(numbers, [count, columns]);
        let matrix = Tensor::<B, 2>::from_data(data, &Default::default());
        let read = gather_rows(&matrix, rows);
        let to: Vec<usize> = rows.iter().map(|row| count - 1 - row).collect();
        let written = scatter_rows(matrix.clone(), &to, read.clone());
        [matrix, read, written].map(values)
    }

    proptest! {
        #[test]
        fn rows_are_read_and_written_where_they_are_and_nothing_else_changes(
            count in 1usize..9, columns in 1usize..5, seed in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        ) {
            let mut rows: Vec<usize> = seed.iter().map(|index| index.index(count)).collect();
            rows.dedup();
            rows.sort();
            rows.dedup();
            let row = |values: &[f32], row: usize| values[row * columns..(row + 1) * columns].to_vec();
            let [matrix, read, written] = moved::<NdArray>(count, columns, &rows);
            for (position, &from) in rows.iter().enumerate() {
                prop_assert_eq!(row(&read, position), row(&matrix, from));
                prop_assert_eq!(row(&written, count - 1 - from), row(&matrix, from));
            }
            for other in (0..count).filter(|&other| !rows.contains(&(count - 1 - other))) {
                prop_assert_eq!(row(&written, other), row(&matrix, other));
            }
            #[cfg(feature = "flex")]
            prop_assert_eq!(moved::<burn_flex::Flex>(count, columns, &rows), [matrix, read, written]);
        }
    }

    #[test]
    fn runs_are_maximal_and_in_order() {
        assert_eq!(runs(&[6, 7, 0, 1, 2, 9]), [(6, 2), (0, 3), (9, 1)]);
        assert!(runs(&[]).is_empty());
    }
}
