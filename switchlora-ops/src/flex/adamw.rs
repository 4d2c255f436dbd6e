//! AdamW in one pass over parameter, gradient and both moments.

use super::slices::{contiguous, fresh, owned, rows_and_columns, slice};
use crate::AdamWRows;
use burn_flex::FlexTensor;
use multiversion::multiversion;
use rayon::prelude::*;

/// Elements that a thread takes at a time, about.
const BLOCK: usize = 1 << 14;

/// The numbers of one row.
#[derive(Clone, Copy)]
struct Row {
    beta_1: f32,
    beta_2: f32,
    /// `1 - beta_1`, rounded once.
    new: f32,
    /// `1 - beta_2`, rounded once.
    square: f32,
    gradient: f32,
    rate: f32,
    epsilon: f32,
    remaining: f32,
}

/// Parameter, first and second moment after the update, each written in place if nobody else holds it, else into a copy.
pub(super) fn update(
    parameter: FlexTensor,
    gradient: &FlexTensor,
    moments: Option<[FlexTensor; 2]>,
    rows: &AdamWRows,
    verdict: Option<f32>,
) -> [FlexTensor; 3] {
    let shape = parameter.layout().shape().clone();
    let [count, columns] = rows_and_columns(&parameter);
    let gradient = contiguous(gradient);
    let moments = moments
        .unwrap_or_else(|| [(); 2].map(|()| fresh(vec![0.0; count * columns], shape.clone())));
    let factor = verdict.unwrap_or(1.0);
    if factor < 0.0 {
        let [first, second] = moments;
        return [parameter, first, second];
    }
    let [mut first, mut second] = moments.map(owned);
    let mut parameter = owned(parameter);
    let of_rows = of_rows(count, rows, factor);
    let mut reset = vec![false; count];
    rows.reset.iter().for_each(|&row| reset[row] = true);

    let width = columns.max(1);
    let per_block = (BLOCK / width).max(1);
    let block = per_block * width;
    let blocks = parameter.storage_mut::<f32>().par_chunks_mut(block);
    let blocks = blocks.zip(slice(&gradient).par_chunks(block));
    let blocks = blocks.zip(first.storage_mut::<f32>().par_chunks_mut(block));
    let blocks = blocks.zip(second.storage_mut::<f32>().par_chunks_mut(block));
    blocks
        .enumerate()
        .for_each(|(index, (((parameter, gradient), first), second))| {
            let moments = first.chunks_mut(width).zip(second.chunks_mut(width));
            let rows = parameter.chunks_mut(width).zip(gradient.chunks(width));
            for (row, ((parameter, gradient), (first, second))) in rows.zip(moments).enumerate() {
                let row = index * per_block + row;
                if reset[row] {
                    first.fill(0.0);
                    second.fill(0.0);
                }
                update_row(parameter, gradient, first, second, of_rows(row));
            }
        });
    [parameter, first, second]
}

/// The numbers of each row.
fn of_rows(count: usize, rows: &AdamWRows, factor: f32) -> impl Fn(usize) -> Row + Sync {
    let mut frozen = vec![false; count];
    rows.frozen.iter().for_each(|&row| frozen[row] = true);
    move |row| {
        let of = |values: &[f32]| values[row.min(values.len() - 1)];
        Row {
            beta_1: rows.beta_1 as f32,
            beta_2: rows.beta_2 as f32,
            new: (1.0 - rows.beta_1) as f32,
            square: (1.0 - rows.beta_2) as f32,
            gradient: if frozen[row] {
                0.0
            } else {
                rows.gradient_scale as f32 * factor
            },
            rate: of(&rows.rates),
            epsilon: of(&rows.epsilons),
            remaining: of(&rows.remaining),
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn update_row(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    row: Row,
) {
    let moments = first.iter_mut().zip(second);
    let values = parameter.iter_mut().zip(gradient).zip(moments);
    for ((parameter, gradient), (first, second)) in values {
        let gradient = gradient * row.gradient;
        *first = *first * row.beta_1 + gradient * row.new;
        *second = *second * row.beta_2 + gradient * gradient * row.square;
        let change = *first * row.rate / (second.sqrt() + row.epsilon);
        *parameter = *parameter * row.remaining - change;
    }
}
