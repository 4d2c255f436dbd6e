//! RMSNorm on the device.

use crate::cube::reduce::{sum_of_cube, sum_of_vector};
use cubecl::prelude::*;

/// One cube per row: `y = x / r * weight` with the root mean square `r`.
#[cube(launch_unchecked)]
pub(super) fn norm_rows<N: Size>(
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

/// One cube per row: `dx = (g - x mean(g x) / r²) / r` with `g = dy weight` and the root mean square `r`. Also writes `1 / r`.
#[cube(launch_unchecked)]
pub(super) fn norm_rows_backward<N: Size>(
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

/// The sum of `dy x / r` over `each` rows. One unit per column of each part of the rows.
#[cube(launch_unchecked)]
pub(super) fn weight_of_parts(
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
pub(super) fn sum_of_parts(
    sums: &Array<f32>,
    weight: &mut Array<f32>,
    parts: usize,
    columns: usize,
) {
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
