//! Causal attention: burn's products, and one kernel for all that lies between two of them.
//!
//! Queries, keys and values are kept for the backward, as they are kept anyway, and nothing of the size of the scores.
//! With `n` numbers in the scores of a layer, a backward that kept the weights would read and write `7 n`: the gradient of
//! weights as a product writes it, both to make the gradient of scores and that, and what three products read. Making
//! the scores again adds `2 n`, those written by their product and the weights by the kernel that makes the gradient of scores
//! in the same pass; in return no layer holds `n` numbers from its forward to its backward, most of what a layer would hold.

use super::heads::{Sizes, merge, split};
use super::launch::Launch;
use super::softmax::{probabilities, probabilities_and_gradient};
use crate::kernels::AttentionInputs;
use crate::primitive::{primitive, tensor};
use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

pub(super) fn forward<B: Launch>(inputs: &AttentionInputs<B>) -> FloatTensor<B> {
    let sizes = Sizes::new(inputs);
    let [q, k, v] = split(inputs, sizes);
    let weights = probabilities(q.matmul(k.transpose())); // [batch, keys, stacked, length]
    let mixed: Tensor<B, 4> = weights.matmul(v); // [batch, keys, stacked, head_dim]
    let Sizes {
        batch,
        length,
        queries,
        head_dim,
        ..
    } = sizes;
    let mixed = mixed.reshape([batch, queries, length, head_dim]);
    let merged: Tensor<B, 2> = mixed
        .swap_dims(1, 2)
        .reshape([sizes.tokens(), queries * head_dim]);
    primitive(inputs.precision.widen(merged))
}

/// Gradients of `q`, of `k` and of `v`.
pub(super) fn backward<B: Launch>(
    inputs: &AttentionInputs<B>,
    dy: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let sizes = Sizes::new(inputs);
    let [q, k, v] = split(inputs, sizes);
    let Sizes {
        batch,
        length,
        queries,
        head_dim,
        ..
    } = sizes;
    let dy: Tensor<B, 2> = inputs.precision.round(tensor(dy));
    let dmixed = dy.reshape([batch, length, queries, head_dim]);
    let dmixed: Tensor<B, 4> = dmixed.swap_dims(1, 2).reshape(sizes.of_queries());
    let scores = q.clone().matmul(k.clone().transpose()); // [batch, keys, stacked, length]
    let dweights = dmixed.clone().matmul(v.transpose());
    let [weights, dscores] = probabilities_and_gradient(scores, dweights);
    let dv = weights.transpose().matmul(dmixed); // [batch, keys, length, head_dim]
    let dk = dscores.clone().transpose().matmul(q);
    let dq = dscores.matmul(k);
    merge([dq, dk, dv].map(primitive), inputs, sizes)
}
