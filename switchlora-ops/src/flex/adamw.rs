//! AdamW: one pass over parameter, gradient and both moments.

use super::slices::{contiguous, fresh, owned, refuses, scalar, slice};
use crate::kernels::Kernels;
use crate::operations::AdamW;
use crate::primitive::tensor;
use crate::{AdamWRows, Moments};
use burn::tensor::Tensor;
use burn_flex::Flex;
use multiversion::multiversion;
use rayon::prelude::*;

/// Approximate number of elements that a thread takes at a time.
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
    /// Factor of the gradient.
    gradient: f32,
    rate: f32,
    epsilon: f32,
    remaining: f32,
}

impl AdamW<Flex> for Kernels {
    /// Parameter and moments are written in place if no other tensor shares their memory, else into copies.
    fn adamw(
        &self,
        parameter: Tensor<Flex, 2>,
        gradient: Tensor<Flex, 2>,
        moments: Option<Moments<Flex>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<Flex, 1>>,
    ) -> (Tensor<Flex, 2>, Moments<Flex>) {
        let [count, columns] = parameter.dims();
        let gradient = contiguous(gradient);
        let zeros = || fresh(vec![0.0; count * columns], [count, columns]);
        let moments = moments.unwrap_or_else(|| Moments {
            first: zeros(),
            second: zeros(),
        });
        let factor = verdict.map_or(1.0, scalar);
        if refuses(factor) {
            return (parameter, moments);
        }
        let [mut first, mut second] = [moments.first, moments.second].map(owned);
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
                for (row, ((parameter, gradient), (first, second))) in rows.zip(moments).enumerate()
                {
                    let row = index * per_block + row;
                    if reset[row] {
                        first.fill(0.0);
                        second.fill(0.0);
                    }
                    update_row(parameter, gradient, first, second, of_rows(row));
                }
            });
        let [parameter, first, second] = [parameter, first, second].map(tensor);
        (parameter, Moments { first, second })
    }
}

/// The numbers of each row.
fn of_rows(count: usize, rows: &AdamWRows, factor: f32) -> impl Fn(usize) -> Row + Sync {
    let mut frozen = vec![false; count];
    rows.frozen.iter().for_each(|&row| frozen[row] = true);
    let [beta_1, beta_2, new, square] = rows.betas();
    move |row| {
        let [rate, epsilon, remaining] = rows.row(row);
        let gradient = match frozen[row] {
            true => 0.0,
            false => rows.gradient_scale as f32 * factor,
        };
        Row {
            beta_1,
            beta_2,
            new,
            square,
            gradient,
            rate,
            epsilon,
            remaining,
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
        // Zero is assigned, not multiplied: the gradient may be infinite or NaN.
        let gradient = match row.gradient == 0.0 {
            true => 0.0,
            false => gradient * row.gradient,
        };
        *first = *first * row.beta_1 + gradient * row.new;
        *second = *second * row.beta_2 + gradient * gradient * row.square;
        let change = *first * row.rate / (second.sqrt() + row.epsilon);
        *parameter = *parameter * row.remaining - change;
    }
}
