//! Splitting into rotated heads and merging their gradients, on the device.

use cubecl::prelude::*;

/// The sizes of attention. `half` is `head_dim / 2`, `pairs` the number of pairs of numbers in all heads.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Heads {
    length: usize,
    queries: usize,
    keys: usize,
    half: usize,
    scale: f32,
    pairs: usize,
}

/// Index of the first number of a pair in `[tokens, heads * head_dim]`, and in `[batch, heads, length, head_dim]`.
#[cube]
fn places(heads: usize, head: usize, token: usize, pair: usize, sizes: Heads) -> (usize, usize) {
    let width = 2 * sizes.half;
    let among_tokens = (token * heads + head) * width + pair;
    let (sequence, position) = (token / sizes.length, token % sizes.length);
    let among_heads = ((sequence * heads + head) * sizes.length + position) * width + pair;
    (among_tokens, among_heads)
}

/// One unit per pair of numbers: rotates and scales queries, rotates keys, copies values.
#[cube(launch_unchecked)]
pub(super) fn split_heads<E: Float>(
    q: &Array<f32>,
    k: &Array<f32>,
    v: &Array<f32>,
    cos: &Array<f32>,
    sin: &Array<f32>,
    to_q: &mut Array<E>,
    to_k: &mut Array<E>,
    to_v: &mut Array<E>,
    sizes: Heads,
    #[define(E)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < sizes.pairs {
        let half = sizes.half;
        let pair = ABSOLUTE_POS % half;
        let heads = sizes.queries + 2 * sizes.keys;
        let head = ABSOLUTE_POS / half % heads;
        let token = ABSOLUTE_POS / half / heads;
        let angle = token % sizes.length * half + pair;
        let (cos, sin) = (cos[angle], sin[angle]);
        if head < sizes.queries {
            let (from, to) = places(sizes.queries, head, token, pair, sizes);
            let (left, right) = (q[from], q[from + half]);
            to_q[to] = E::cast_from((left * cos - right * sin) * sizes.scale);
            to_q[to + half] = E::cast_from((right * cos + left * sin) * sizes.scale);
        } else if head < sizes.queries + sizes.keys {
            let (from, to) = places(sizes.keys, head - sizes.queries, token, pair, sizes);
            let (left, right) = (k[from], k[from + half]);
            to_k[to] = E::cast_from(left * cos - right * sin);
            to_k[to + half] = E::cast_from(right * cos + left * sin);
        } else {
            let head = head - sizes.queries - sizes.keys;
            let (from, to) = places(sizes.keys, head, token, pair, sizes);
            to_v[to] = E::cast_from(v[from]);
            to_v[to + half] = E::cast_from(v[from + half]);
        }
    }
}

/// One unit per pair of numbers: the gradient of [`split_heads()`].
#[cube(launch_unchecked)]
pub(super) fn merge_heads<E: Float>(
    dq: &Array<E>,
    dk: &Array<E>,
    dv: &Array<E>,
    cos: &Array<f32>,
    sin: &Array<f32>,
    to_q: &mut Array<f32>,
    to_k: &mut Array<f32>,
    to_v: &mut Array<f32>,
    sizes: Heads,
    #[define(E)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < sizes.pairs {
        let half = sizes.half;
        let pair = ABSOLUTE_POS % half;
        let heads = sizes.queries + 2 * sizes.keys;
        let head = ABSOLUTE_POS / half % heads;
        let token = ABSOLUTE_POS / half / heads;
        let angle = token % sizes.length * half + pair;
        let (cos, sin) = (cos[angle], sin[angle]);
        if head < sizes.queries {
            let (to, from) = places(sizes.queries, head, token, pair, sizes);
            let left = f32::cast_from(dq[from]) * sizes.scale;
            let right = f32::cast_from(dq[from + half]) * sizes.scale;
            to_q[to] = left * cos + right * sin;
            to_q[to + half] = right * cos - left * sin;
        } else if head < sizes.queries + sizes.keys {
            let (to, from) = places(sizes.keys, head - sizes.queries, token, pair, sizes);
            let left = f32::cast_from(dk[from]);
            let right = f32::cast_from(dk[from + half]);
            to_k[to] = left * cos + right * sin;
            to_k[to + half] = right * cos - left * sin;
        } else {
            let head = head - sizes.queries - sizes.keys;
            let (to, from) = places(sizes.keys, head, token, pair, sizes);
            to_v[to] = f32::cast_from(dv[from]);
            to_v[to + half] = f32::cast_from(dv[from + half]);
        }
    }
}
