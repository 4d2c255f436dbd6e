//! Rotation of heads by the angles of their positions: the pair `(x_i, x_{i + head_dim / 2})` by the `i`-th.
//!
//! Many positions in one call: a head is too few numbers for one of its own.

use multiversion::multiversion;

/// Cosines and sines from a position on, `[positions, half]` each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Angles<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
    /// `head_dim / 2`.
    pub half: usize,
}

/// `factor` times the rotated heads of `from`, which are `stride` apart; those of `to` follow each other.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rotate(from: &[f32], stride: usize, angles: Angles<'_>, factor: f32, to: &mut [f32]) {
    let half = angles.half;
    for (row, to) in to.chunks_exact_mut(2 * half).enumerate() {
        let (left, right) = from[row * stride..][..2 * half].split_at(half);
        let (to_left, to_right) = to.split_at_mut(half);
        let cos = &angles.cos[row * half..][..half];
        let sin = &angles.sin[row * half..][..half];
        for i in 0..half {
            to_left[i] = (left[i] * cos[i] - right[i] * sin[i]) * factor;
            to_right[i] = (right[i] * cos[i] + left[i] * sin[i]) * factor;
        }
    }
}

/// The rotation the other way, in place, of heads that follow each other; also the gradient of the rotation.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rotate_back(x: &mut [f32], angles: Angles<'_>) {
    let half = angles.half;
    for (row, x) in x.chunks_exact_mut(2 * half).enumerate() {
        let (left, right) = x.split_at_mut(half);
        let cos = &angles.cos[row * half..][..half];
        let sin = &angles.sin[row * half..][..half];
        for i in 0..half {
            let (l, r) = (left[i], right[i]);
            left[i] = l * cos[i] + r * sin[i];
            right[i] = r * cos[i] - l * sin[i];
        }
    }
}
