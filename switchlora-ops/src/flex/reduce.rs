//! Sums and scales over slices.

use multiversion::multiversion;
use rayon::prelude::*;

/// Elements that a thread takes at a time; the sum is made of the sums of such blocks, in order, whatever the threads.
const BLOCK: usize = 1 << 14;

/// The sum of squares.
pub(super) fn sum_of_squares(x: &[f32]) -> f64 {
    let blocks: Vec<f64> = x.par_chunks(BLOCK).map(squares_of).collect();
    blocks.into_iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn squares_of(x: &[f32]) -> f64 {
    let (chunks, rest) = x.as_chunks::<16>();
    let mut sums = [0.0f64; 16];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    let rest: f64 = rest.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    sums.iter().sum::<f64>() + rest
}

/// `x` times `factor`, in place.
pub(super) fn scale(x: &mut [f32], factor: f32) {
    x.par_chunks_mut(BLOCK).for_each(|x| scale_block(x, factor));
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn scale_block(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}
