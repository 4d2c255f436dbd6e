//! RMSNorm: one pass forward and one pass backward, with nothing kept in between.

use super::output::{Output, write_rest};
use super::reduce::dot;
use super::slices::{contiguous, fresh, slice};
use crate::kernels::{Kernels, RmsNormBackward};
use crate::operations::RmsNorm;
use burn::tensor::Tensor;
use burn_flex::Flex;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Rows that a thread takes at a time, in the forward.
const ROWS: usize = 64;
/// Rows whose terms of the gradient of the weight are summed together. A fixed number, so that the sum does not depend on the
/// number of threads.
const SUMMED: usize = 128;

impl RmsNorm<Flex> for Kernels {
    fn rms_norm(
        &self,
        x: Tensor<Flex, 2>,
        weight: Tensor<Flex, 1>,
        epsilon: f64,
    ) -> Tensor<Flex, 2> {
        let shape = x.dims();
        let (x, weight) = (contiguous(x), contiguous(weight));
        let (x, weight) = (slice(&x), slice(&weight));
        let width = weight.len().max(1);
        let mut y = Output::new(x.len());
        let blocks = y.elements(x.len()).par_chunks_mut(width * ROWS);
        blocks.zip(x.par_chunks(width * ROWS)).for_each(|(y, x)| {
            for (y, x) in y.chunks_mut(width).zip(x.chunks(width)) {
                Arch::new().dispatch(Forward {
                    y,
                    x,
                    weight,
                    epsilon,
                });
            }
        });
        // SAFETY: the blocks cover all elements, and each row of a block has been written.
        fresh(unsafe { y.written(x.len()) }, shape)
    }
}

impl RmsNormBackward<Flex> for Kernels {
    fn rms_norm_backward(
        &self,
        x: Tensor<Flex, 2>,
        weight: Tensor<Flex, 1>,
        epsilon: f64,
        dy: Tensor<Flex, 2>,
    ) -> (Tensor<Flex, 2>, Tensor<Flex, 1>) {
        let shape = x.dims();
        let (x, weight, dy) = (contiguous(x), contiguous(weight), contiguous(dy));
        let (x, weight, dy) = (slice(&x), slice(&weight), slice(&dy));
        let width = weight.len().max(1);
        let mut dx = Output::new(x.len());
        let blocks = dx.elements(x.len()).par_chunks_mut(width * SUMMED);
        let blocks = blocks
            .zip(x.par_chunks(width * SUMMED))
            .zip(dy.par_chunks(width * SUMMED));
        let shares: Vec<Vec<f32>> = blocks
            .map(|((dx, x), dy)| {
                let mut share = vec![0.0f32; weight.len()];
                let rows = dx
                    .chunks_mut(width)
                    .zip(x.chunks(width))
                    .zip(dy.chunks(width));
                for ((dx, x), dy) in rows {
                    Arch::new().dispatch(Backward {
                        dx,
                        dweight: &mut share,
                        x,
                        weight,
                        epsilon,
                        dy,
                    });
                }
                share
            })
            .collect();
        let mut dweight = vec![0.0f64; weight.len()];
        for share in shares {
            dweight
                .iter_mut()
                .zip(share)
                .for_each(|(sum, share)| *sum += f64::from(share));
        }
        // SAFETY: the blocks cover all elements, and each row of a block has been written.
        let dx = unsafe { dx.written(x.len()) };
        let dweight = dweight.into_iter().map(|sum| sum as f32).collect();
        (fresh(dx, shape), fresh(dweight, [weight.len()]))
    }
}

/// `1 / sqrt(mean(x^2) + epsilon)`.
#[inline(always)]
fn reciprocal_root<S: Simd>(simd: S, x: &[f32], epsilon: f64) -> f64 {
    1.0 / (dot(simd, x, x) / x.len() as f64 + epsilon).sqrt()
}

/// One row of the forward.
struct Forward<'a> {
    y: &'a mut [MaybeUninit<f32>],
    x: &'a [f32],
    weight: &'a [f32],
    epsilon: f64,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let reciprocal = simd.splat_f32s(reciprocal_root(simd, self.x, self.epsilon) as f32);
        let (y, y_rest) = S::as_uninit_mut_simd_f32s(self.y);
        let (x, x_rest) = S::as_simd_f32s(self.x);
        let (weight, weight_rest) = S::as_simd_f32s(self.weight);
        for i in 0..y.len() {
            y[i].write(simd.mul_f32s(simd.mul_f32s(x[i], reciprocal), weight[i]));
        }
        let (x, weight) = (
            simd.partial_load_f32s(x_rest),
            simd.partial_load_f32s(weight_rest),
        );
        write_rest(
            simd,
            y_rest,
            simd.mul_f32s(simd.mul_f32s(x, reciprocal), weight),
        );
    }
}

/// One row of the backward. With `h = x / root` and `c = mean(dy weight h)`: `dx = (dy weight - h c) / root`,
/// `dweight += dy h`.
struct Backward<'a> {
    dx: &'a mut [MaybeUninit<f32>],
    dweight: &'a mut [f32],
    x: &'a [f32],
    weight: &'a [f32],
    epsilon: f64,
    dy: &'a [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let reciprocal = reciprocal_root(simd, self.x, self.epsilon);
        let width = self.x.len() as f64;
        let (dx, dx_rest) = S::as_uninit_mut_simd_f32s(self.dx);
        let (dweight, dweight_rest) = S::as_mut_simd_f32s(self.dweight);
        let (x, x_rest) = S::as_simd_f32s(self.x);
        let (weight, weight_rest) = S::as_simd_f32s(self.weight);
        let (dy, dy_rest) = S::as_simd_f32s(self.dy);
        let last_x = simd.partial_load_f32s(x_rest);
        let last_weight = simd.partial_load_f32s(weight_rest);
        let last_dy = simd.partial_load_f32s(dy_rest);

        let mut sum = simd.mul_f32s(simd.mul_f32s(last_dy, last_weight), last_x);
        for i in 0..x.len() {
            sum = simd.mul_add_e_f32s(simd.mul_f32s(dy[i], weight[i]), x[i], sum);
        }
        let c = f64::from(simd.reduce_sum_f32s(sum)) * reciprocal / width;
        let factor = simd.splat_f32s(reciprocal as f32);
        // `h c / root` is `x` times this.
        let along = simd.splat_f32s(-(c * reciprocal * reciprocal) as f32);
        for i in 0..dx.len() {
            let across = simd.mul_f32s(simd.mul_f32s(dy[i], weight[i]), factor);
            dx[i].write(simd.mul_add_e_f32s(x[i], along, across));
            dweight[i] = simd.mul_add_e_f32s(dy[i], simd.mul_f32s(x[i], factor), dweight[i]);
        }
        let across = simd.mul_f32s(simd.mul_f32s(last_dy, last_weight), factor);
        write_rest(simd, dx_rest, simd.mul_add_e_f32s(last_x, along, across));
        let last = simd.partial_load_f32s(dweight_rest);
        let last = simd.mul_add_e_f32s(last_dy, simd.mul_f32s(last_x, factor), last);
        simd.partial_store_f32s(dweight_rest, last);
    }
}
