//! Single rows of a matrix, read, written, and summed up.

use super::launch::Launch;
use super::reduce::most_of_cube;
use super::tensors::{
    contiguous, cube_a_row, elementwise, empty, owned, rows_and_columns, vector_size,
};
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape, TensorMetadata};
use cubecl::prelude::*;

/// The given rows of `matrix`.
pub(super) fn gather<B: Launch>(matrix: &FloatTensor<B>, rows: &[usize]) -> FloatTensor<B> {
    let shape = [rows.len(), matrix.shape()[1]];
    let outputs = [(Shape::from(shape), matrix.dtype())];
    let rows = numbers(rows);
    let [gathered] = B::launch("gather_rows", [matrix.clone()], outputs, move |[matrix]| {
        let matrix = contiguous(matrix);
        let gathered = empty(&matrix, shape, matrix.dtype);
        let client = matrix.client.clone();
        let size = vector_size(&client, shape[1]);
        let work = rows.len() * shape[1] / size;
        if work > 0 {
            let (count, dim) = elementwise(&client, work);
            let numbers = client.create_from_slice(u32::as_bytes(&rows));
            // SAFETY: a unit past the last row does nothing, and the rows are those of the matrix.
            unsafe {
                gather_rows::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    size,
                    matrix.into_array_arg(),
                    ArrayArg::from_raw_parts(numbers, rows.len()),
                    gathered.clone().into_array_arg(),
                    shape[1] / size,
                    work,
                );
            }
        }
        [gathered]
    });
    gathered
}

/// `matrix` with the given rows replaced, in place if nobody else holds it.
pub(super) fn scatter<B: Launch>(
    matrix: FloatTensor<B>,
    rows: &[usize],
    values: FloatTensor<B>,
) -> FloatTensor<B> {
    let outputs = [(matrix.shape(), matrix.dtype())];
    let rows = numbers(rows);
    let [scattered] = B::launch(
        "scatter_rows",
        [matrix, values],
        outputs,
        move |[matrix, values]| {
            let (matrix, values) = (owned(matrix), contiguous(values));
            let [_, columns] = rows_and_columns(&matrix);
            let client = matrix.client.clone();
            let size = vector_size(&client, columns);
            let work = rows.len() * columns / size;
            if work > 0 {
                let (count, dim) = elementwise(&client, work);
                let numbers = client.create_from_slice(u32::as_bytes(&rows));
                // SAFETY: a unit past the last row does nothing, and the rows are those of the matrix.
                unsafe {
                    scatter_rows::launch_unchecked::<B::Runtime>(
                        &client,
                        count,
                        dim,
                        size,
                        matrix.clone().into_array_arg(),
                        ArrayArg::from_raw_parts(numbers, rows.len()),
                        values.into_array_arg(),
                        columns / size,
                        work,
                    );
                }
            }
            [matrix]
        },
    );
    scattered
}

/// The gradient of a table of `vocabulary` rows, from that of the rows that `tokens` name.
pub(super) fn sum_by_token<B: Launch>(
    tokens: &IntTensor<B>,
    vocabulary: usize,
    dy: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = [vocabulary, dy.shape()[1]];
    let outputs = [(Shape::from(shape), dy.dtype())];
    let inputs = [dy, B::integers(tokens)];
    let [table] = B::launch("embedding_backward", inputs, outputs, move |inputs| {
        let [dy, tokens] = inputs.map(contiguous);
        let table = empty(&dy, shape, DType::F32);
        let client = dy.client.clone();
        let [count, columns] = rows_and_columns(&dy);
        if vocabulary * columns > 0 {
            let (cubes, dim) = elementwise(&client, vocabulary * columns);
            // SAFETY: a unit past the last element does nothing.
            unsafe {
                zero::launch_unchecked::<B::Runtime>(
                    &client,
                    cubes,
                    dim,
                    table.clone().into_array_arg(),
                    vocabulary * columns,
                );
            }
        }
        if count * columns > 0 {
            let dtype = tokens.dtype.into();
            let links = empty(&dy, [2 * count], DType::U32);
            let (cubes, dim, units) = cube_a_row(&client, count, count);
            // SAFETY: a cube past the last token does nothing.
            unsafe {
                link_tokens::launch_unchecked::<B::Runtime>(
                    &client,
                    cubes,
                    dim,
                    tokens.clone().into_array_arg(),
                    links.clone().into_array_arg(),
                    count,
                    units,
                    dtype,
                );
            }
            let (cubes, dim, units) = cube_a_row(&client, count, columns);
            // SAFETY: a cube past the last token does nothing, nor does one whose token has no row.
            unsafe {
                sum_rows::launch_unchecked::<B::Runtime>(
                    &client,
                    cubes,
                    dim,
                    tokens.into_array_arg(),
                    links.into_array_arg(),
                    dy.into_array_arg(),
                    table.clone().into_array_arg(),
                    count,
                    columns,
                    vocabulary,
                    units,
                    dtype,
                );
            }
        }
        [table]
    });
    table
}

fn numbers(rows: &[usize]) -> Vec<u32> {
    rows.iter().map(|row| *row as u32).collect()
}

#[cube(launch_unchecked)]
fn gather_rows<N: Size>(
    matrix: &Array<Vector<f32, N>>,
    rows: &Array<u32>,
    gathered: &mut Array<Vector<f32, N>>,
    columns: usize,
    work: usize,
) {
    if ABSOLUTE_POS < work {
        let row = rows[ABSOLUTE_POS / columns] as usize;
        gathered[ABSOLUTE_POS] = matrix[row * columns + ABSOLUTE_POS % columns];
    }
}

#[cube(launch_unchecked)]
fn scatter_rows<N: Size>(
    matrix: &mut Array<Vector<f32, N>>,
    rows: &Array<u32>,
    values: &Array<Vector<f32, N>>,
    columns: usize,
    work: usize,
) {
    if ABSOLUTE_POS < work {
        let row = rows[ABSOLUTE_POS / columns] as usize;
        matrix[row * columns + ABSOLUTE_POS % columns] = values[ABSOLUTE_POS];
    }
}

#[cube(launch_unchecked)]
fn zero(table: &mut Array<f32>, work: usize) {
    if ABSOLUTE_POS < work {
        table[ABSOLUTE_POS] = 0.0f32;
    }
}

/// A cube for each token: the next one that names the same row, `count` if there is none, and then, behind all of those,
/// whether it is the first.
#[cube(launch_unchecked)]
fn link_tokens<I: Numeric>(
    tokens: &Array<I>,
    links: &mut Array<u32>,
    count: usize,
    #[comptime] units: usize,
    #[define(I)] _dtype: StorageType,
) {
    let token = CUBE_POS;
    if token >= count {
        terminate!();
    }
    let mut room = SharedMemory::<f32>::new(units);
    let row = tokens[token];
    let mut earlier = 0.0f32;
    // The nearest is the largest of negative numbers; all are exact up to 2^24 tokens.
    let mut nearest = 0.0f32 - f32::cast_from(count);
    let mut other = UNIT_POS as usize;
    while other < count {
        if tokens[other] == row {
            if other < token {
                earlier = 1.0f32;
            } else if other > token {
                nearest = max(nearest, 0.0f32 - f32::cast_from(other));
            }
        }
        other += units;
    }
    let earlier = most_of_cube(earlier, &mut room, units);
    let nearest = most_of_cube(nearest, &mut room, units);
    if UNIT_POS == 0 {
        links[token] = u32::cast_from(0.0f32 - nearest);
        links[count + token] = u32::cast_from(1.0f32 - earlier);
    }
}

/// A cube for each token: the first of those that name a row adds up the gradients of all of them, in their order.
#[cube(launch_unchecked)]
fn sum_rows<I: Numeric>(
    tokens: &Array<I>,
    links: &Array<u32>,
    dy: &Array<f32>,
    table: &mut Array<f32>,
    count: usize,
    columns: usize,
    vocabulary: usize,
    #[comptime] units: usize,
    #[define(I)] _dtype: StorageType,
) {
    let token = CUBE_POS;
    if token >= count {
        terminate!();
    }
    let row = usize::cast_from(tokens[token]);
    if links[count + token] == 1u32 && row < vocabulary {
        let mut column = UNIT_POS as usize;
        while column < columns {
            let mut sum = 0.0f32;
            let mut other = token;
            while other < count {
                sum += dy[other * columns + column];
                other = links[other] as usize;
            }
            table[row * columns + column] = sum;
            column += units;
        }
    }
}
