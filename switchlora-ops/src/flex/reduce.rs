//! Sums and scales over slices.

use multiversion::multiversion;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Elements that a thread takes at a time; the sum is made of the sums of such blocks, in order, whatever the threads.
const BLOCK: usize = 1 << 14;

/// The sum of squares.
pub(super) fn sum_of_squares(x: &[f32]) -> f64 {
    let blocks: Vec<f64> = x.par_chunks(BLOCK).map(squares_of).collect();
    blocks.into_iter().sum()
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

/// The sum of products of slices of one length.
///
/// A few dozen running sums of f32 for 16 terms each, and their sums in f64: of a sum of squares, which is what it is for,
/// it is off by less than 1e-6, and as fast as memory.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, left: &[f32], right: &[f32]) -> f64 {
    /// Terms of each running sum.
    const TERMS: usize = 16;
    /// Running sums at a time, in vectors: more than a processor adds while one waits for its own last addition.
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
