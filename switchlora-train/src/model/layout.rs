//! The layout of a file: numbers as f32, linear weights transposed.

use burn::tensor::TensorData;
use half::bf16;
use std::convert::Infallible;

/// Numbers that are converted together.
const PIECE: usize = 1 << 20;

/// Calls `each` with the numbers of `data` as f32, row by row, or column by column if `transposed`: of a matrix that is turned,
/// about a million at a time, so that the largest one needs no copy of itself.
///
/// # Errors
///
/// The first error of `each`.
pub(super) fn in_pieces<E>(
    data: &TensorData,
    transposed: bool,
    mut each: impl FnMut(&[f32]) -> Result<(), E>,
) -> Result<(), E> {
    match (data.as_slice::<f32>(), data.as_slice::<bf16>()) {
        (Ok(values), _) if transposed => columns(values, matrix(data), each),
        (Ok(values), _) => each(values),
        (_, Ok(values)) if transposed => columns(values, matrix(data), each),
        _ => in_pieces(&data.clone().convert::<f32>(), transposed, each),
    }
}

fn matrix(data: &TensorData) -> [usize; 2] {
    [data.shape[0], data.shape[1]]
}

/// The columns of a matrix, a few whole ones at a time, in blocks, because a whole column of a large matrix touches a memory
/// page per element.
fn columns<T: Copy + Into<f32>, E>(
    values: &[T],
    [rows, columns]: [usize; 2],
    mut each: impl FnMut(&[f32]) -> Result<(), E>,
) -> Result<(), E> {
    const BLOCK: usize = 32;
    let strip = (PIECE / rows.max(1)).max(BLOCK);
    let mut piece = Vec::new();
    for first in (0..columns).step_by(strip) {
        let last = columns.min(first + strip);
        piece.resize((last - first) * rows, 0.0);
        for top in (0..rows).step_by(BLOCK) {
            for left in (first..last).step_by(BLOCK) {
                for row in top..rows.min(top + BLOCK) {
                    for column in left..last.min(left + BLOCK) {
                        piece[(column - first) * rows + row] =
                            values[row * columns + column].into();
                    }
                }
            }
        }
        each(&piece)?;
    }
    Ok(())
}

/// The numbers as f32, in the other layout if `transposed`.
pub(super) fn laid_out(data: TensorData, transposed: bool) -> TensorData {
    if !transposed {
        return data.convert::<f32>();
    }
    let [rows, columns] = matrix(&data);
    TensorData::new(collected(&data, transposed), [columns, rows])
}

/// The pieces, one after another.
fn collected(data: &TensorData, transposed: bool) -> Vec<f32> {
    let mut all = Vec::with_capacity(data.num_elements());
    let done: Result<(), Infallible> = in_pieces(data, transposed, |piece| {
        all.extend_from_slice(piece);
        Ok(())
    });
    let Ok(()) = done;
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_transpose_has_every_number_in_its_place(rows in 0_usize..70, columns in 0_usize..70) {
            let values: Vec<f32> = (0..rows * columns).map(|i| (i % 251) as f32).collect();
            let data = TensorData::new(values.clone(), [rows, columns]);
            for data in [data.clone(), data.convert::<bf16>()] {
                prop_assert_eq!(&collected(&data, false), &values);
                let transposed = laid_out(data, true);
                prop_assert_eq!(transposed.shape.to_vec(), [columns, rows]);
                let found = transposed.to_vec::<f32>().unwrap();
                for row in 0..rows {
                    for column in 0..columns {
                        prop_assert_eq!(found[column * rows + row], values[row * columns + column]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_matrix_of_several_pieces_is_written_as_one() {
        let [rows, columns] = [1_000, 2_100];
        let values: Vec<f32> = (0..rows * columns).map(|i| (i % 251) as f32).collect();
        let data = TensorData::new(values.clone(), [rows, columns]);
        for data in [data.clone(), data.convert::<bf16>()] {
            assert_eq!(collected(&data, false), values);
            let found = collected(&data, true);
            let expected = (0..rows * columns).map(|i| values[(i % rows) * columns + i / rows]);
            assert!(found.iter().copied().eq(expected));
        }
    }

    #[test]
    fn the_first_error_of_the_writer_ends_it() {
        let data = TensorData::zeros::<f32, _>([3_000, 1_000]);
        for transposed in [false, true] {
            let mut calls = 0;
            let done = in_pieces(&data, transposed, |_| {
                calls += 1;
                Err("the disk is full")
            });
            assert_eq!((done, calls), (Err("the disk is full"), 1));
        }
    }
}
