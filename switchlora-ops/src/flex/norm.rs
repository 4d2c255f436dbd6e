//! RMSNorm: one pass forward, one backward. Means and roots are in f64; what is kept between the two is nothing.

use super::output::Output;
use multiversion::multiversion;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Rows that a thread takes at a time, in the forward.
const ROWS: usize = 64;
/// Rows whose share in the weight's gradient is summed together; a number of its own, so that the sum does not depend on
/// how many threads there are.
const SUMMED: usize = 128;

/// `y`, for `x` of rows as long as `weight`.
pub(super) fn forward(x: &[f32], weight: &[f32], epsilon: f64) -> Vec<f32> {
    let width = weight.len().max(1);
    let mut y = Output::new(x.len());
    let blocks = y.elements(x.len()).par_chunks_mut(width * ROWS);
    blocks.zip(x.par_chunks(width * ROWS)).for_each(|(y, x)| {
        for (y, x) in y.chunks_mut(width).zip(x.chunks(width)) {
            forward_row(y, x, weight, epsilon);
        }
    });
    // SAFETY: the blocks are all of it, and each row of a block has been written.
    unsafe { y.written(x.len()) }
}

/// Gradients of `x` and of `weight`.
pub(super) fn backward(
    x: &[f32],
    weight: &[f32],
    epsilon: f64,
    dy: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let width = weight.len().max(1);
    let mut dx = Output::new(x.len());
    let blocks = dx.elements(x.len()).par_chunks_mut(width * SUMMED);
    let blocks = blocks
        .zip(x.par_chunks(width * SUMMED))
        .zip(dy.par_chunks(width * SUMMED));
    let shares: Vec<Vec<f64>> = blocks
        .map(|((dx, x), dy)| {
            let mut share = vec![0.0; weight.len()];
            let rows = dx
                .chunks_mut(width)
                .zip(x.chunks(width))
                .zip(dy.chunks(width));
            for ((dx, x), dy) in rows {
                backward_row(dx, &mut share, x, weight, epsilon, dy);
            }
            share
        })
        .collect();
    let mut dweight = vec![0.0f64; weight.len()];
    for share in shares {
        dweight
            .iter_mut()
            .zip(share)
            .for_each(|(sum, share)| *sum += share);
    }
    // SAFETY: the blocks are all of it, and each row of a block has been written.
    let dx = unsafe { dx.written(x.len()) };
    (dx, dweight.into_iter().map(|sum| sum as f32).collect())
}

/// One sum of eight running ones, so that they can be one vector.
#[inline(always)]
fn sum_of(length: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let whole = length - length % 8;
    for start in (0..whole).step_by(8) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    let rest: f64 = (whole..length).map(&term).sum();
    sums.iter().sum::<f64>() + rest
}

#[inline(always)]
fn reciprocal_root(x: &[f32], epsilon: f64) -> f64 {
    let squares = sum_of(x.len(), |i| f64::from(x[i]) * f64::from(x[i]));
    1.0 / (squares / x.len() as f64 + epsilon).sqrt()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn forward_row(y: &mut [MaybeUninit<f32>], x: &[f32], weight: &[f32], epsilon: f64) {
    let reciprocal = reciprocal_root(x, epsilon);
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        y.write((f64::from(*x) * reciprocal) as f32 * weight);
    }
}

/// With `h = x / root` and `c = mean(dy weight h)`: `dx = (dy weight - h c) / root`, `dweight += dy h`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn backward_row(
    dx: &mut [MaybeUninit<f32>],
    dweight: &mut [f64],
    x: &[f32],
    weight: &[f32],
    epsilon: f64,
    dy: &[f32],
) {
    let (x, weight, dy) = (&x[..dx.len()], &weight[..dx.len()], &dy[..dx.len()]);
    let reciprocal = reciprocal_root(x, epsilon);
    let weighted = |i: usize| f64::from(dy[i]) * f64::from(weight[i]);
    let c = sum_of(x.len(), |i| weighted(i) * f64::from(x[i])) * reciprocal / x.len() as f64;
    for (i, (dx, dweight)) in dx.iter_mut().zip(dweight).enumerate() {
        let h = f64::from(x[i]) * reciprocal;
        dx.write(((weighted(i) - h * c) * reciprocal) as f32);
        *dweight += f64::from(dy[i]) * h;
    }
}
