//! RMSNorm: a cube for each row, and for the gradient of the weight sums of columns in two stages, in a fixed order.

use super::launch::Launch;
use super::reduce::sum_of_cube;
use super::tensors::{
    contiguous, cube_a_row, elementwise, empty, empty_like, rows_and_columns, vector_size,
};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Rows whose terms of the gradient of the weight one unit adds up, at least.
const ROWS: usize = 32;
/// Parts that the rows are divided into, at most: the last unit adds up as many.
const PARTS: usize = 128;

pub(super) fn forward<B: Launch>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let outputs = [(x.shape(), x.dtype())];
    let inputs = [x.clone(), weight.clone()];
    let [y] = B::launch("rms_norm", inputs, outputs, move |[x, weight]| {
        [run_forward(
            contiguous(x),
            contiguous(weight),
            epsilon as f32,
        )]
    });
    y
}

/// Gradients of `x` and of `weight`.
pub(super) fn backward<B: Launch>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    epsilon: f64,
    dy: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let outputs = [x, weight].map(|like| (like.shape(), like.dtype()));
    let inputs = [x.clone(), weight.clone(), dy];
    B::launch("rms_norm_backward", inputs, outputs, move |inputs| {
        let [x, weight, dy] = inputs.map(contiguous);
        run_backward(x, weight, epsilon as f32, dy)
    })
}

fn run_forward<R: CubeRuntime>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    epsilon: f32,
) -> CubeTensor<R> {
    let y = empty_like(&x);
    let [rows, columns] = rows_and_columns(&x);
    if rows * columns == 0 {
        return y;
    }
    let client = x.client.clone();
    let size = vector_size(&client, columns);
    let (count, dim, units) = cube_a_row(&client, rows, columns / size);
    // SAFETY: a cube past the last row does nothing, and a unit stays within its row.
    unsafe {
        norm_rows::launch_unchecked::<R>(
            &client,
            count,
            dim,
            size,
            x.into_array_arg(),
            weight.into_array_arg(),
            y.clone().into_array_arg(),
            rows,
            columns / size,
            1.0 / columns as f32,
            epsilon,
            units,
        );
    }
    y
}

fn run_backward<R: CubeRuntime>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    epsilon: f32,
    dy: CubeTensor<R>,
) -> [CubeTensor<R>; 2] {
    let [rows, columns] = rows_and_columns(&x);
    let (dx, dweight) = (empty_like(&x), empty_like(&weight));
    if columns == 0 {
        return [dx, dweight];
    }
    let client = x.client.clone();
    let inverses = empty(&x, [rows.max(1)], DType::F32);
    if rows > 0 {
        let size = vector_size(&client, columns);
        let (count, dim, units) = cube_a_row(&client, rows, columns / size);
        // SAFETY: a cube past the last row does nothing, and a unit stays within its row.
        unsafe {
            norm_rows_backward::launch_unchecked::<R>(
                &client,
                count,
                dim,
                size,
                x.clone().into_array_arg(),
                weight.into_array_arg(),
                dy.clone().into_array_arg(),
                dx.clone().into_array_arg(),
                inverses.clone().into_array_arg(),
                rows,
                columns / size,
                1.0 / columns as f32,
                epsilon,
                units,
            );
        }
    }
    let parts = rows.div_ceil(ROWS).clamp(1, PARTS);
    let sums = empty(&x, [parts, columns], DType::F32);
    let (count, dim) = elementwise(&client, parts * columns);
    // SAFETY: a unit past the last column of the last part does nothing.
    unsafe {
        weight_of_parts::launch_unchecked::<R>(
            &client,
            count,
            dim,
            x.into_array_arg(),
            dy.into_array_arg(),
            inverses.into_array_arg(),
            sums.clone().into_array_arg(),
            rows,
            columns,
            parts,
            rows.div_ceil(parts),
        );
    }
    let (count, dim) = elementwise(&client, columns);
    // SAFETY: a unit past the last column does nothing.
    unsafe {
        sum_of_parts::launch_unchecked::<R>(
            &client,
            count,
            dim,
            sums.into_array_arg(),
            dweight.clone().into_array_arg(),
            parts,
            columns,
        );
    }
    [dx, dweight]
}

#[cube(launch_unchecked)]
fn norm_rows<N: Size>(
    x: &Array<Vector<f32, N>>,
    weight: &Array<Vector<f32, N>>,
    y: &mut Array<Vector<f32, N>>,
    rows: usize,
    columns: usize,
    share: f32,
    epsilon: f32,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut room = SharedMemory::<f32>::new(units);
    let start = row * columns;
    let mut squares = Vector::<f32, N>::new(0.0f32);
    let mut column = UNIT_POS as usize;
    while column < columns {
        let value = x[start + column];
        squares += value * value;
        column += units;
    }
    let sum = sum_of_cube(sum_of_vector::<N>(squares), &mut room, units);
    let inverse = Vector::<f32, N>::new(1.0f32 / f32::sqrt(sum * share + epsilon));
    let mut column = UNIT_POS as usize;
    while column < columns {
        y[start + column] = x[start + column] * inverse * weight[column];
        column += units;
    }
}

/// `dx = (g - x mean(g x) / r²) / r` with `g = dy weight` and `r` the root of the mean square; `1 / r` of each row as well.
#[cube(launch_unchecked)]
fn norm_rows_backward<N: Size>(
    x: &Array<Vector<f32, N>>,
    weight: &Array<Vector<f32, N>>,
    dy: &Array<Vector<f32, N>>,
    dx: &mut Array<Vector<f32, N>>,
    inverses: &mut Array<f32>,
    rows: usize,
    columns: usize,
    share: f32,
    epsilon: f32,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut room = SharedMemory::<f32>::new(units);
    let start = row * columns;
    let mut squares = Vector::<f32, N>::new(0.0f32);
    let mut products = Vector::<f32, N>::new(0.0f32);
    let mut column = UNIT_POS as usize;
    while column < columns {
        let value = x[start + column];
        squares += value * value;
        products += value * weight[column] * dy[start + column];
        column += units;
    }
    let square = sum_of_cube(sum_of_vector::<N>(squares), &mut room, units) * share;
    let product = sum_of_cube(sum_of_vector::<N>(products), &mut room, units) * share;
    let inverse = 1.0f32 / f32::sqrt(square + epsilon);
    if UNIT_POS == 0 {
        inverses[row] = inverse;
    }
    let along = Vector::<f32, N>::new(product * inverse * inverse);
    let inverse = Vector::<f32, N>::new(inverse);
    let mut column = UNIT_POS as usize;
    while column < columns {
        let slope = weight[column] * dy[start + column];
        dx[start + column] = (slope - x[start + column] * along) * inverse;
        column += units;
    }
}

/// The sum of `dy x / r` over `each` rows: a unit for each column of each part of the rows.
#[cube(launch_unchecked)]
fn weight_of_parts(
    x: &Array<f32>,
    dy: &Array<f32>,
    inverses: &Array<f32>,
    sums: &mut Array<f32>,
    rows: usize,
    columns: usize,
    parts: usize,
    each: usize,
) {
    if ABSOLUTE_POS < parts * columns {
        let column = ABSOLUTE_POS % columns;
        let first = ABSOLUTE_POS / columns * each;
        let end = min(first + each, rows);
        let mut sum = 0.0f32;
        let mut row = first;
        while row < end {
            let at = row * columns + column;
            sum += dy[at] * x[at] * inverses[row];
            row += 1;
        }
        sums[ABSOLUTE_POS] = sum;
    }
}

/// The sum of each column of `sums: [parts, columns]`.
#[cube(launch_unchecked)]
fn sum_of_parts(sums: &Array<f32>, weight: &mut Array<f32>, parts: usize, columns: usize) {
    if ABSOLUTE_POS < columns {
        let mut sum = 0.0f32;
        let mut part = 0usize;
        while part < parts {
            sum += sums[part * columns + ABSOLUTE_POS];
            part += 1;
        }
        weight[ABSOLUTE_POS] = sum;
    }
}

#[cube]
pub(super) fn sum_of_vector<N: Size>(vector: Vector<f32, N>) -> f32 {
    let mut sum = 0.0f32;
    #[unroll]
    for i in 0..N::value() {
        sum += vector[i];
    }
    sum
}
