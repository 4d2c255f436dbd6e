//! Rotation of a head by the angles of its position: the pair `(x_i, x_{i + head_dim / 2})` by the `i`-th.

use multiversion::multiversion;

/// `factor` times the rotated `from`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rotate(from: &[f32], cos: &[f32], sin: &[f32], factor: f32, to: &mut [f32]) {
    let half = from.len() / 2;
    let (left, right) = from.split_at(half);
    let (to_left, to_right) = to.split_at_mut(half);
    let angles = cos.iter().zip(sin);
    let pairs = left.iter().zip(right).zip(angles);
    for ((to_left, to_right), ((left, right), (cos, sin))) in
        to_left.iter_mut().zip(to_right).zip(pairs)
    {
        *to_left = (left * cos - right * sin) * factor;
        *to_right = (right * cos + left * sin) * factor;
    }
}

/// The rotation the other way, in place, which is also the gradient of the rotation.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rotate_back(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = x.len() / 2;
    let (left, right) = x.split_at_mut(half);
    for ((left, right), (cos, sin)) in left.iter_mut().zip(right).zip(cos.iter().zip(sin)) {
        (*left, *right) = (*left * cos + *right * sin, *right * cos - *left * sin);
    }
}
