//! Softmax of several queries at once, one per lane of a vector.
//!
//! The scores are stored transposed: for each key, the scores of [`LANES`] queries. So maxima and sums over keys are vector
//! operations without any reduction across lanes.

use crate::flex::exponential::{exponential, greater};
use pulp::{Arch, Simd, WithSimd};

/// Queries per row of scores: a multiple of the lanes of every vector type.
pub(super) const LANES: usize = 32;

/// Softmax over the keys, in place, of scores `[keys, LANES]`.
///
/// The `i`-th query sees the keys up to `first + i`; the weights of later keys become zero. A query with a score that is NaN or
/// +∞ gets NaN as every weight.
pub(super) fn softmax(scores: &mut [f32], first: usize) {
    for (later, key) in scores.chunks_mut(LANES).skip(first).enumerate() {
        key[..later.min(LANES)].fill(f32::NEG_INFINITY);
    }
    Arch::new().dispatch(Softmax(scores));
}

/// Gradients of the scores, `p (dp - p·dp)`, written over `dp`; both `[keys, LANES]`.
pub(super) fn softmax_backward(p: &[f32], dp: &mut [f32]) {
    Arch::new().dispatch(Backward { p, dp });
}

struct Softmax<'a>(&'a mut [f32]);

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (scores, _) = S::as_mut_simd_f32s(self.0);
        let each = LANES / S::F32_LANES;
        for lanes in 0..each {
            let mut most = simd.splat_f32s(f32::NEG_INFINITY);
            let mut i = lanes;
            while i < scores.len() {
                most = greater(simd, scores[i], most);
                i += each;
            }
            let mut sum = simd.splat_f32s(0.0);
            let mut i = lanes;
            while i < scores.len() {
                scores[i] = exponential(simd, simd.sub_f32s(scores[i], most));
                sum = simd.add_f32s(sum, scores[i]);
                i += each;
            }
            let reciprocal = simd.div_f32s(simd.splat_f32s(1.0), sum);
            let mut i = lanes;
            while i < scores.len() {
                scores[i] = simd.mul_f32s(scores[i], reciprocal);
                i += each;
            }
        }
    }
}

struct Backward<'a> {
    p: &'a [f32],
    dp: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ((p, _), (dp, _)) = (S::as_simd_f32s(self.p), S::as_mut_simd_f32s(self.dp));
        let each = LANES / S::F32_LANES;
        for lanes in 0..each {
            let mut product = simd.splat_f32s(0.0);
            let mut i = lanes;
            while i < dp.len() {
                product = simd.mul_add_e_f32s(p[i], dp[i], product);
                i += each;
            }
            let mut i = lanes;
            while i < dp.len() {
                dp[i] = simd.mul_f32s(p[i], simd.sub_f32s(dp[i], product));
                i += each;
            }
        }
    }
}
