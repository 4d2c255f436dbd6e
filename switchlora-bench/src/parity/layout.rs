//! Layout of a matrix in memory and in a file.

use burn::tensor::TensorData;

/// The values of one of our matrices in the layout of the file, which is transposed if `transposes`.
pub(super) fn as_in_file(ours: &TensorData, transposes: bool) -> Vec<f32> {
    let values: Vec<f32> = ours.iter::<f32>().collect();
    match (transposes, ours.shape.as_slice()) {
        (true, &[rows, columns]) => transposed(&values, rows, columns),
        _ => values,
    }
}

/// The transpose of a `[rows, columns]` matrix.
pub(super) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |column| (0..rows).map(move |row| values[row * columns + column]);
    (0..columns).flat_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transpose_has_the_columns_as_rows() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(transposed(&values, 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
