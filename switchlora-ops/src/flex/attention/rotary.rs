//! Rotation of heads by the angles of their positions: the pair `(x_i, x_{i + head_dim / 2})` by the `i`-th angle.
//!
//! One call rotates many positions: a single head has too few numbers to pay for a call.

use pulp::{Arch, Simd, WithSimd};

/// Cosines and sines of the angles from a position on, `[positions, half]` each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Angles<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
    /// `head_dim / 2`.
    pub half: usize,
}

/// Writes `factor` times the rotated heads of `from` to `to`. Heads are `stride` elements apart in `from`, `to_stride` in `to`.
pub(super) fn rotate(
    from: &[f32],
    stride: usize,
    angles: Angles<'_>,
    factor: f32,
    to: &mut [f32],
    to_stride: usize,
) {
    Arch::new().dispatch(Turn {
        from: Some((from, stride)),
        to,
        to_stride,
        angles,
        factor,
        direction: 1.0,
    });
}

/// Rotates heads, `stride` elements apart, by the negative angles in place, times `factor`: the gradient of the rotation.
pub(super) fn rotate_back(x: &mut [f32], stride: usize, angles: Angles<'_>, factor: f32) {
    Arch::new().dispatch(Turn {
        from: None,
        to: x,
        to_stride: stride,
        angles,
        factor,
        direction: -1.0,
    });
}

/// Rotation of heads by `direction` (1 or -1) times the angles, times `factor`.
struct Turn<'a> {
    /// The heads and their stride; `None` to rotate `to` in place.
    from: Option<(&'a [f32], usize)>,
    to: &'a mut [f32],
    to_stride: usize,
    angles: Angles<'a>,
    factor: f32,
    direction: f32,
}

impl WithSimd for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let half = self.angles.half;
        let factor = simd.splat_f32s(self.factor);
        let signed = simd.splat_f32s(self.factor * self.direction);
        let heads = self.to.chunks_exact_mut(self.to_stride);
        for (position, to) in heads.enumerate() {
            let (left, right) = to[..2 * half].split_at_mut(half);
            if let Some((from, stride)) = self.from {
                let (from_left, from_right) = from[position * stride..][..2 * half].split_at(half);
                copy(simd, from_left, left);
                copy(simd, from_right, right);
            }
            let (left, left_rest) = S::as_mut_simd_f32s(left);
            let (right, right_rest) = S::as_mut_simd_f32s(right);
            let (cos, cos_rest) = S::as_simd_f32s(&self.angles.cos[position * half..][..half]);
            let (sin, sin_rest) = S::as_simd_f32s(&self.angles.sin[position * half..][..half]);
            for i in 0..left.len() {
                let (cos, sin) = (simd.mul_f32s(cos[i], factor), simd.mul_f32s(sin[i], signed));
                [left[i], right[i]] = turned(simd, left[i], right[i], cos, sin);
            }
            if left_rest.is_empty() {
                continue;
            }
            let (x, y) = (
                simd.partial_load_f32s(left_rest),
                simd.partial_load_f32s(right_rest),
            );
            let cos = simd.mul_f32s(simd.partial_load_f32s(cos_rest), factor);
            let sin = simd.mul_f32s(simd.partial_load_f32s(sin_rest), signed);
            let [x, y] = turned(simd, x, y, cos, sin);
            simd.partial_store_f32s(left_rest, x);
            simd.partial_store_f32s(right_rest, y);
        }
    }
}

/// Copies a few vectors. For so few, a call of memcpy takes longer.
#[inline(always)]
#[expect(clippy::manual_memcpy)]
fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    let ((from, from_rest), (to, to_rest)) = (S::as_simd_f32s(from), S::as_mut_simd_f32s(to));
    for i in 0..to.len() {
        to[i] = from[i];
    }
    if !to_rest.is_empty() {
        simd.partial_store_f32s(to_rest, simd.partial_load_f32s(from_rest));
    }
}

/// `x cos - y sin` and `y cos + x sin`.
#[inline(always)]
fn turned<S: Simd>(simd: S, x: S::f32s, y: S::f32s, cos: S::f32s, sin: S::f32s) -> [S::f32s; 2] {
    [
        simd.sub_f32s(simd.mul_f32s(x, cos), simd.mul_f32s(y, sin)),
        simd.mul_add_e_f32s(y, cos, simd.mul_f32s(x, sin)),
    ]
}
