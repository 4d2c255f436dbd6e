//! Causal attention: Burn's products, and one kernel for everything between two of them.
//!
//! The graph keeps queries, keys and values, which it keeps anyway, and nothing of the size of the scores. Let `n` be the number
//! of scores of a layer. A backward that kept the attention weights would read and write `7 n` numbers: it writes their gradient
//! in a product, reads it and the weights to compute the gradient of the scores, writes that, and three products read the
//! results. Computing the scores again adds `2 n`: the product writes them, and the kernel that computes their gradient also
//! writes the weights. In return no layer keeps `n` numbers from its forward to its backward, most of what it would keep.

mod heads;
mod kernels;
mod softmax;

use super::launch::Launch;
use super::product::{product, product_to};
use crate::kernels::{CausalAttentionBackward, Kernels};
use crate::operations::CausalAttention;
use crate::{Attention, Precision};
use burn::tensor::Tensor;
pub(super) use heads::{Sizes, merge, split};
pub(super) use softmax::{probabilities, probabilities_and_gradient};

impl<B: Launch> CausalAttention<B> for Kernels {
    fn causal_attention(&self, attention: Attention<B>, precision: Precision) -> Tensor<B, 2> {
        let sizes = Sizes::new(&attention);
        let [q, k, v] = split(&attention, precision, sizes);
        let dtype = q.dtype();
        let weights = probabilities(product_to(q, k.transpose(), dtype)); // [batch, keys, stacked, length]
        let mixed: Tensor<B, 4> = product(weights, v); // [batch, keys, stacked, head_dim]
        let Sizes {
            batch,
            length,
            queries,
            head_dim,
            ..
        } = sizes;
        let mixed = mixed.reshape([batch, queries, length, head_dim]);
        mixed
            .swap_dims(1, 2)
            .reshape([sizes.tokens(), queries * head_dim])
    }
}

impl<B: Launch> CausalAttentionBackward<B> for Kernels {
    fn causal_attention_backward(
        &self,
        attention: Attention<B>,
        precision: Precision,
        dy: Tensor<B, 2>,
    ) -> [Tensor<B, 2>; 3] {
        let sizes = Sizes::new(&attention);
        let [q, k, v] = split(&attention, precision, sizes);
        let Sizes {
            batch,
            length,
            queries,
            head_dim,
            ..
        } = sizes;
        let dy = precision.round(dy);
        let dmixed = dy.reshape([batch, length, queries, head_dim]);
        let dmixed: Tensor<B, 4> = dmixed.swap_dims(1, 2).reshape(sizes.of_queries());
        let dtype = q.dtype();
        let scores = product_to(q.clone(), k.clone().transpose(), dtype); // [batch, keys, stacked, length]
        let dweights = product_to(dmixed.clone(), v.transpose(), dtype);
        let [weights, dscores] = probabilities_and_gradient(scores, dweights);
        let dv = product_to(weights.transpose(), dmixed, dtype); // [batch, keys, length, head_dim]
        let dk = product_to(dscores.clone().transpose(), q, dtype);
        let dq = product_to(dscores, k, dtype);
        merge([dq, dk, dv], &attention, sizes)
    }
}
