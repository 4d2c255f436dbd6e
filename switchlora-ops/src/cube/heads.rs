//! Queries, keys and values as products take them, head by head and rotated, and gradients back from there; all three in
//! one launch.

use super::launch::Launch;
use super::tensors::{contiguous, elementwise, empty};
use crate::kernels::AttentionInputs;
use crate::primitive::tensor;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Shape, Tensor, TensorMetadata};
use cubecl::prelude::*;

/// The sizes of attention.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub length: usize,
    pub queries: usize,
    pub keys: usize,
    pub head_dim: usize,
}

impl Sizes {
    pub fn new<B: Launch>(inputs: &AttentionInputs<B>) -> Self {
        let (tokens, length) = (inputs.q.shape()[0], inputs.cos.shape()[0]);
        Self {
            batch: tokens / length,
            length,
            queries: inputs.heads.queries,
            keys: inputs.heads.keys,
            head_dim: inputs.heads.head_dim,
        }
    }

    pub fn tokens(self) -> usize {
        self.batch * self.length
    }

    /// `[batch, keys, queries that share a key head * length, head_dim]`: nothing is repeated for heads that share keys.
    pub fn of_queries(self) -> [usize; 4] {
        let stacked = self.queries / self.keys * self.length;
        [self.batch, self.keys, stacked, self.head_dim]
    }

    /// `[batch, keys, length, head_dim]`.
    pub fn of_keys(self) -> [usize; 4] {
        [self.batch, self.keys, self.length, self.head_dim]
    }

    fn scale(self) -> f32 {
        (1.0 / (self.head_dim as f64).sqrt()) as f32
    }

    /// Pairs of numbers in all heads.
    fn pairs(self) -> usize {
        self.tokens() * (self.queries + 2 * self.keys) * (self.head_dim / 2)
    }

    fn launch<R: Runtime>(self) -> HeadsLaunch<R> {
        let (length, half) = (self.length, self.head_dim / 2);
        HeadsLaunch::new(
            length,
            self.queries,
            self.keys,
            half,
            self.scale(),
            self.pairs(),
        )
    }
}

/// Queries, rotated and scaled, keys, rotated, and values; in the type of the operands of products.
pub(super) fn split<B: Launch>(inputs: &AttentionInputs<B>, sizes: Sizes) -> [Tensor<B, 4>; 3] {
    let dtype = inputs.precision.dtype();
    let shapes = [sizes.of_queries(), sizes.of_keys(), sizes.of_keys()];
    let outputs = shapes.map(|shape| (Shape::from(shape), dtype));
    let AttentionInputs { q, k, v, .. } = inputs.clone();
    let inputs = [q, k, v, inputs.cos.clone(), inputs.sin.clone()];
    let split = B::launch("split_heads", inputs, outputs, move |inputs| {
        let [q, k, v, cos, sin] = inputs.map(contiguous);
        let outputs = shapes.map(|shape| empty(&q, shape, dtype));
        let client = q.client.clone();
        if sizes.pairs() > 0 {
            let (count, dim) = elementwise(&client, sizes.pairs());
            let [to_q, to_k, to_v] = outputs.clone().map(|output| output.into_array_arg());
            // SAFETY: a unit past the last pair does nothing, and the shapes are those of `sizes`.
            unsafe {
                split_heads::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    q.into_array_arg(),
                    k.into_array_arg(),
                    v.into_array_arg(),
                    cos.into_array_arg(),
                    sin.into_array_arg(),
                    to_q,
                    to_k,
                    to_v,
                    sizes.launch(),
                    dtype.into(),
                );
            }
        }
        outputs
    });
    split.map(tensor)
}

/// The gradients of what [`split`] took, `[tokens, heads * head_dim]`, from those of what it gave.
pub(super) fn merge<B: Launch>(
    gradients: [FloatTensor<B>; 3],
    inputs: &AttentionInputs<B>,
    sizes: Sizes,
) -> [FloatTensor<B>; 3] {
    let shapes = [sizes.queries, sizes.keys, sizes.keys]
        .map(|heads| [sizes.tokens(), heads * sizes.head_dim]);
    let outputs = shapes.map(|shape| (Shape::from(shape), DType::F32));
    let [dq, dk, dv] = gradients;
    let inputs = [dq, dk, dv, inputs.cos.clone(), inputs.sin.clone()];
    B::launch("merge_heads", inputs, outputs, move |inputs| {
        let [dq, dk, dv, cos, sin] = inputs.map(contiguous);
        let outputs = shapes.map(|shape| empty(&dq, shape, DType::F32));
        let client = dq.client.clone();
        if sizes.pairs() > 0 {
            let (count, dim) = elementwise(&client, sizes.pairs());
            let [to_q, to_k, to_v] = outputs.clone().map(|output| output.into_array_arg());
            let dtype = dq.dtype;
            // SAFETY: a unit past the last pair does nothing, and the shapes are those of `sizes`.
            unsafe {
                merge_heads::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    dq.into_array_arg(),
                    dk.into_array_arg(),
                    dv.into_array_arg(),
                    cos.into_array_arg(),
                    sin.into_array_arg(),
                    to_q,
                    to_k,
                    to_v,
                    sizes.launch(),
                    dtype.into(),
                );
            }
        }
        outputs
    })
}

/// The sizes, on the device. `half` is half of a head.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Heads {
    length: usize,
    queries: usize,
    keys: usize,
    half: usize,
    scale: f32,
    pairs: usize,
}

/// Where the first number of a pair is: among tokens, and among the heads of its kind, of which there are `heads`.
#[cube]
fn places(heads: usize, head: usize, token: usize, pair: usize, sizes: Heads) -> (usize, usize) {
    let width = 2 * sizes.half;
    let among_tokens = (token * heads + head) * width + pair;
    let (sequence, position) = (token / sizes.length, token % sizes.length);
    let among_heads = ((sequence * heads + head) * sizes.length + position) * width + pair;
    (among_tokens, among_heads)
}

#[cube(launch_unchecked)]
fn split_heads<E: Float>(
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

#[cube(launch_unchecked)]
fn merge_heads<E: Float>(
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
