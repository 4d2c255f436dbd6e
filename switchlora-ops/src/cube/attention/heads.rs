//! Splits queries, keys and values into rotated heads, and merges the gradients back: one launch for all three.

use super::kernels::{HeadsLaunch, merge_heads, split_heads};
use crate::cube::launch::Launch;
use crate::cube::tensors::{contiguous, elementwise, empty};
use crate::primitive::{primitive, tensor};
use crate::{Attention, Precision};
use burn::tensor::{DType, Shape, Tensor};
use cubecl::prelude::*;

/// The sizes of attention.
#[derive(Clone, Copy)]
pub(in crate::cube) struct Sizes {
    pub batch: usize,
    pub length: usize,
    pub queries: usize,
    pub keys: usize,
    pub head_dim: usize,
}

impl Sizes {
    pub fn new<B: Launch>(attention: &Attention<B>) -> Self {
        let (tokens, length) = (attention.q.dims()[0], attention.tables.cos.dims()[0]);
        Self {
            batch: tokens / length,
            length,
            queries: attention.heads.queries,
            keys: attention.heads.keys,
            head_dim: attention.heads.head_dim,
        }
    }

    pub fn tokens(self) -> usize {
        self.batch * self.length
    }

    /// Shape of the queries, `[batch, keys, queries / keys * length, head_dim]`: heads that share keys are stacked.
    pub fn of_queries(self) -> [usize; 4] {
        let stacked = self.queries / self.keys * self.length;
        [self.batch, self.keys, stacked, self.head_dim]
    }

    /// Shape of the keys and of the values, `[batch, keys, length, head_dim]`.
    pub fn of_keys(self) -> [usize; 4] {
        [self.batch, self.keys, self.length, self.head_dim]
    }

    fn scale(self) -> f32 {
        (1.0 / (self.head_dim as f64).sqrt()) as f32
    }

    /// Number of pairs of numbers in all heads.
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

/// Queries (rotated and scaled), keys (rotated) and values in the dtype of products.
pub(in crate::cube) fn split<B: Launch>(
    attention: &Attention<B>,
    precision: Precision,
    sizes: Sizes,
) -> [Tensor<B, 4>; 3] {
    let dtype = precision.dtype();
    let shapes = [sizes.of_queries(), sizes.of_keys(), sizes.of_keys()];
    let outputs = shapes.map(|shape| (Shape::from(shape), dtype));
    let Attention {
        q, k, v, tables, ..
    } = attention.clone();
    let inputs = [q, k, v, tables.cos, tables.sin].map(primitive);
    let split = B::launch("split_heads", inputs, outputs, move |inputs| {
        let [q, k, v, cos, sin] = inputs.map(contiguous);
        let outputs = shapes.map(|shape| empty(&q, shape, dtype));
        let client = q.client.clone();
        if sizes.pairs() > 0 {
            let (count, dim) = elementwise(&client, sizes.pairs());
            let [to_q, to_k, to_v] = outputs.clone().map(|output| output.into_array_arg());
            // SAFETY: units after the last pair do nothing, and the shapes are those of `sizes`.
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

/// The gradients of the inputs of [`split`], `[tokens, heads * head_dim]` each, from the gradients of its outputs.
pub(in crate::cube) fn merge<B: Launch>(
    gradients: [Tensor<B, 4>; 3],
    attention: &Attention<B>,
    sizes: Sizes,
) -> [Tensor<B, 2>; 3] {
    let shapes = [sizes.queries, sizes.keys, sizes.keys]
        .map(|heads| [sizes.tokens(), heads * sizes.head_dim]);
    let outputs = shapes.map(|shape| (Shape::from(shape), DType::F32));
    let [dq, dk, dv] = gradients.map(primitive);
    let [cos, sin] = [&attention.tables.cos, &attention.tables.sin].map(|t| primitive(t.clone()));
    let inputs = [dq, dk, dv, cos, sin];
    let merged = B::launch("merge_heads", inputs, outputs, move |inputs| {
        let [dq, dk, dv, cos, sin] = inputs.map(contiguous);
        let outputs = shapes.map(|shape| empty(&dq, shape, DType::F32));
        let client = dq.client.clone();
        if sizes.pairs() > 0 {
            let (count, dim) = elementwise(&client, sizes.pairs());
            let [to_q, to_k, to_v] = outputs.clone().map(|output| output.into_array_arg());
            let dtype = dq.dtype;
            // SAFETY: units after the last pair do nothing, and the shapes are those of `sizes`.
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
    });
    merged.map(tensor)
}
