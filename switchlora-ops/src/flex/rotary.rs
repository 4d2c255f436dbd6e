//! Rotation of heads by the angles of their positions: the pair `(x_i, x_{i + head_dim / 2})` by the `i`-th.
//!
//! Many positions in one call: a head is too few numbers for one of its own.

use pulp::{Arch, Simd, WithSimd};

/// Cosines and sines from a position on, `[positions, half]` each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Angles<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
    /// `head_dim / 2`.
    pub half: usize,
}

/// `factor` times the rotated heads of `from`, which are `stride` apart; those of `to` are `to_stride` apart.
pub(super) fn rotate(
    from: &[f32],
    stride: usize,
    angles: Angles<'_>,
    factor: f32,
    to: &mut [f32],
    to_stride: usize,
) {
    let width = 2 * angles.half;
    for (from, to) in from.chunks(stride).zip(to.chunks_mut(to_stride)) {
        to[..width].copy_from_slice(&from[..width]);
    }
    turn(to, to_stride, angles, factor, 1.0);
}

/// The rotation the other way, in place, of heads `stride` apart; also the gradient of the rotation.
pub(super) fn rotate_back(x: &mut [f32], stride: usize, angles: Angles<'_>) {
    turn(x, stride, angles, 1.0, -1.0);
}

fn turn(heads: &mut [f32], stride: usize, angles: Angles<'_>, factor: f32, direction: f32) {
    Arch::new().dispatch(Turn {
        heads,
        stride,
        angles,
        factor,
        direction,
    });
}

/// `factor` times the rotation, by 1 or -1 times the angles, of heads `stride` apart, in place.
struct Turn<'a> {
    heads: &'a mut [f32],
    stride: usize,
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
        let heads = self.heads.chunks_exact_mut(self.stride);
        for (position, head) in heads.enumerate() {
            let (left, right) = head[..2 * half].split_at_mut(half);
            let (left, left_rest) = S::as_mut_simd_f32s(left);
            let (right, right_rest) = S::as_mut_simd_f32s(right);
            let (cos, cos_rest) = S::as_simd_f32s(&self.angles.cos[position * half..][..half]);
            let (sin, sin_rest) = S::as_simd_f32s(&self.angles.sin[position * half..][..half]);
            for ((left, right), (cos, sin)) in left.iter_mut().zip(right).zip(cos.iter().zip(sin)) {
                [*left, *right] = turned(
                    simd,
                    *left,
                    *right,
                    simd.mul_f32s(*cos, factor),
                    simd.mul_f32s(*sin, signed),
                );
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

/// `x cos - y sin` and `y cos + x sin`.
#[inline(always)]
fn turned<S: Simd>(simd: S, x: S::f32s, y: S::f32s, cos: S::f32s, sin: S::f32s) -> [S::f32s; 2] {
    [
        simd.sub_f32s(simd.mul_f32s(x, cos), simd.mul_f32s(y, sin)),
        simd.mul_add_e_f32s(y, cos, simd.mul_f32s(x, sin)),
    ]
}
