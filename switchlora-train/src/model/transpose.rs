//! The transpose of a matrix on the host.

use burn::tensor::TensorData;
use std::borrow::Cow;

/// Transposes an f32 matrix in blocks, because a whole column of a large matrix touches a memory page per element.
pub(super) fn transpose(data: TensorData) -> TensorData {
    const BLOCK: usize = 32;
    let (rows, columns) = (data.shape[0], data.shape[1]);
    let values = data
        .as_slice::<f32>()
        .map_or_else(|_| data.iter::<f32>().collect(), Cow::Borrowed);
    let mut transposed = vec![0.0; values.len()];
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for row in top..rows.min(top + BLOCK) {
                for column in left..columns.min(left + BLOCK) {
                    transposed[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    TensorData::new(transposed, [columns, rows])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_transpose_has_every_number_in_its_place(rows in 0_usize..70, columns in 0_usize..70) {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let transposed = transpose(TensorData::new(values.clone(), [rows, columns]));
            prop_assert_eq!(transposed.shape.to_vec(), [columns, rows]);
            let found: Vec<f32> = transposed.iter::<f32>().collect();
            for row in 0..rows {
                for column in 0..columns {
                    prop_assert_eq!(found[column * rows + row], values[row * columns + column]);
                }
            }
        }
    }
}
