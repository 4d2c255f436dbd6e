//! Sums over slices, and multiplication of a slice by a number.

use super::slices::{contiguous, fresh, slice};
use crate::kernels::Kernels;
use crate::operations::SumOfSquares;
use burn::tensor::Tensor;
use burn_flex::Flex;
use multiversion::multiversion;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Elements that a thread takes at a time. The sums of such blocks are added in order, whatever the number of threads.
const BLOCK: usize = 1 << 14;

impl SumOfSquares<Flex> for Kernels {
    fn sum_of_squares(&self, x: Tensor<Flex, 2>) -> Tensor<Flex, 1> {
        let x = contiguous(x);
        let blocks: Vec<f64> = slice(&x).par_chunks(BLOCK).map(squares_of).collect();
        let sum: f64 = blocks.into_iter().sum();
        fresh(vec![sum as f32], [1])
    }
}

fn squares_of(x: &[f32]) -> f64 {
    struct Squares<'a>(&'a [f32]);
    impl WithSimd for Squares<'_> {
        type Output = f64;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            dot(simd, self.0, self.0)
        }
    }
    Arch::new().dispatch(Squares(x))
}

/// The dot product of slices of the same length.
///
/// Adds up to 16 terms in each of a few dozen running sums of f32, and those sums in f64. The relative error of a sum of
/// squares is below 1e-6, and the time is that of reading the memory.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, left: &[f32], right: &[f32]) -> f64 {
    /// Terms of each running sum.
    const TERMS: usize = 16;
    /// Independent running sums, in vectors: enough to hide the latency of an addition.
    const CHAINS: usize = 8;
    let length = TERMS * CHAINS * S::F32_LANES;
    let mut all = 0.0;
    for (left, right) in left.chunks(length).zip(right.chunks(length)) {
        let (left, left_rest) = S::as_simd_f32s(left);
        let (right, right_rest) = S::as_simd_f32s(right);
        let (left, left_few) = pulp::as_arrays::<CHAINS, _>(left);
        let (right, right_few) = pulp::as_arrays::<CHAINS, _>(right);
        let mut sums = [simd.splat_f32s(0.0); CHAINS];
        for (left, right) in left.iter().zip(right) {
            for chain in 0..CHAINS {
                sums[chain] = simd.mul_add_e_f32s(left[chain], right[chain], sums[chain]);
            }
        }
        for (left, right) in left_few.iter().zip(right_few) {
            sums[0] = simd.mul_add_e_f32s(*left, *right, sums[0]);
        }
        let (left, right) = (
            simd.partial_load_f32s(left_rest),
            simd.partial_load_f32s(right_rest),
        );
        let mut sum = simd.mul_f32s(left, right);
        for chain in sums {
            sum = simd.add_f32s(sum, chain);
        }
        all += f64::from(simd.reduce_sum_f32s(sum));
    }
    all
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
