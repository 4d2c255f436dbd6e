//! AdamW in one pass over parameter, gradient and both moments.

use super::output::{Output, copy};
use super::slices::{contiguous, fresh, owned, rows_and_columns, slice};
use crate::AdamWRows;
use burn_flex::FlexTensor;
use multiversion::multiversion;
use rayon::prelude::*;
use std::mem::MaybeUninit;

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

/// Parameter, first and second moment after the update, each written in place if nobody else holds it.
pub(super) fn update(
    parameter: FlexTensor,
    gradient: &FlexTensor,
    moments: Option<[FlexTensor; 2]>,
    rows: &AdamWRows,
) -> [FlexTensor; 3] {
    let shape = parameter.layout().shape().clone();
    let [count, columns] = rows_and_columns(&parameter);
    let length = count * columns;
    let gradient = contiguous(gradient);
    let moments =
        moments.unwrap_or_else(|| [(); 2].map(|()| fresh(vec![0.0; length], shape.clone())));
    let [mut first, mut second] = moments.map(owned);
    let update = Update {
        rows,
        of_rows: of_rows(count, rows),
        width: columns.max(1),
        gradient: slice(&gradient),
        first: first.storage_mut(),
        second: second.storage_mut(),
    };
    let mut parameter = owned(parameter);
    let parameter = match parameter.is_unique() {
        true => {
            update.run(Target::InPlace(parameter.storage_mut()));
            parameter
        }
        false => {
            let mut updated = Output::new(length);
            let old = contiguous(&parameter);
            update.run(Target::Fresh(updated.elements(length), slice(&old)));
            // SAFETY: each row has been written.
            fresh(unsafe { updated.written(length) }, shape)
        }
    };
    [parameter, first, second]
}

/// Where the new parameter goes.
enum Target<'a> {
    /// Over the old one.
    InPlace(&'a mut [f32]),
    /// Into memory that has no values yet, beside the old one.
    Fresh(&'a mut [MaybeUninit<f32>], &'a [f32]),
}

/// One update of one parameter.
struct Update<'a, F> {
    rows: &'a AdamWRows,
    of_rows: F,
    width: usize,
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl<F: Fn(usize) -> Row + Sync> Update<'_, F> {
    fn run(self, target: Target<'_>) {
        let width = self.width;
        let per_block = (BLOCK / width).max(1);
        let block = per_block * width;
        let mut reset = vec![false; self.gradient.len().div_ceil(width)];
        self.rows.reset.iter().for_each(|&row| reset[row] = true);
        let of_rows = |row: usize, first: &mut [f32], second: &mut [f32]| {
            if reset[row] {
                first.fill(0.0);
                second.fill(0.0);
            }
            (self.of_rows)(row)
        };
        let moments = self.first.par_chunks_mut(block);
        let moments = moments.zip(self.second.par_chunks_mut(block));
        let inputs = self.gradient.par_chunks(block).zip(moments).enumerate();
        match target {
            Target::InPlace(parameter) => {
                let blocks = parameter.par_chunks_mut(block).zip(inputs);
                blocks.for_each(|(parameter, (index, (gradient, (first, second))))| {
                    let moments = first.chunks_mut(width).zip(second.chunks_mut(width));
                    let rows = parameter.chunks_mut(width).zip(gradient.chunks(width));
                    let rows = rows.zip(moments).enumerate();
                    for (row, ((parameter, gradient), (first, second))) in rows {
                        let row = of_rows(index * per_block + row, first, second);
                        update_row(parameter, gradient, first, second, row);
                    }
                });
            }
            Target::Fresh(updated, old) => {
                let blocks = updated.par_chunks_mut(block).zip(old.par_chunks(block));
                let blocks = blocks.zip(inputs);
                blocks.for_each(|((updated, old), (index, (gradient, (first, second))))| {
                    let moments = first.chunks_mut(width).zip(second.chunks_mut(width));
                    let rows = updated.chunks_mut(width).zip(old.chunks(width));
                    let rows = rows.zip(gradient.chunks(width)).zip(moments).enumerate();
                    for (row, (((updated, old), gradient), (first, second))) in rows {
                        let row = of_rows(index * per_block + row, first, second);
                        let parameter = copy(updated, old);
                        update_row(parameter, gradient, first, second, row);
                    }
                });
            }
        }
    }
}

/// The numbers of each row.
fn of_rows(count: usize, rows: &AdamWRows) -> impl Fn(usize) -> Row + Sync {
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
                rows.gradient_scale as f32
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
