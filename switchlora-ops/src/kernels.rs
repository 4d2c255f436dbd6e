//! What [`Kernels`] computes beside the [operations](crate::operations): the gradients, outside of any graph.
//!
//! A backend has kernels if [`Kernels`] implements every trait of both files for it. Each file of `flex` and `cube` implements
//! one operation with its gradients. `differentiable` puts them into the graph of autodiff.

use crate::operations::{
    CausalAttention, Embedding, LinearCrossEntropy, Projections, RmsNorm, SwiGlu, all_of,
};
use crate::{Attention, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// Our own kernels, of every backend that has some.
pub(crate) struct Kernels;

/// Gradient of an embedding.
pub(crate) trait EmbeddingBackward<B: Backend>: Embedding<B> {
    /// The gradient of the weight, `[vocabulary, width]`, from `dy: [tokens, width]`.
    fn embedding_backward(
        &self,
        tokens: Tensor<B, 1, Int>,
        vocabulary: usize,
        dy: Tensor<B, 2>,
    ) -> Tensor<B, 2>;
}

/// Gradients of RMSNorm.
pub(crate) trait RmsNormBackward<B: Backend>: RmsNorm<B> {
    /// The gradients of `x` and of `weight`.
    fn rms_norm_backward(
        &self,
        x: Tensor<B, 2>,
        weight: Tensor<B, 1>,
        epsilon: f64,
        dy: Tensor<B, 2>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>);
}

/// Gradients of SwiGLU.
pub(crate) trait SwiGluBackward<B: Backend>: SwiGlu<B> {
    /// The gradients of `gate` and of `up`.
    fn swiglu_backward(
        &self,
        gate: Tensor<B, 2>,
        up: Tensor<B, 2>,
        dy: Tensor<B, 2>,
    ) -> [Tensor<B, 2>; 2];
}

/// Gradients of attention.
pub(crate) trait CausalAttentionBackward<B: Backend>: CausalAttention<B> {
    /// The gradients of `q`, `k` and `v`.
    fn causal_attention_backward(
        &self,
        attention: Attention<B>,
        precision: Precision,
        dy: Tensor<B, 2>,
    ) -> [Tensor<B, 2>; 3];
}

/// Gradients of the cross-entropy.
pub(crate) trait LinearCrossEntropyBackward<B: Backend>: LinearCrossEntropy<B> {
    /// The loss `[1]`, and the gradients of `hidden` and of `weight` for a gradient of one.
    ///
    /// Computed together: both need the logits, which are never stored for all tokens.
    fn linear_cross_entropy_with_gradients(
        &self,
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
        precision: Precision,
    ) -> (Tensor<B, 1>, [Tensor<B, 2>; 2]);

    /// `gradient` times `dy: [1]`, the gradient of the loss.
    fn scaled(&self, gradient: Tensor<B, 2>, dy: Tensor<B, 1>) -> Tensor<B, 2>;
}

/// Gradients of projections.
pub(crate) trait ProjectionsBackward<B: Backend>: Projections<B> {
    /// The gradients of `x` and then of the parameters of each projection in order: its weight, or its factors A and B.
    ///
    /// `dy[i]` is `None` if output i was unused. `wanted` has one flag per gradient, in the order of the result. Returns `None`
    /// for gradients that are not wanted or that no used output needs.
    fn projections_backward(
        &self,
        x: Tensor<B, 2>,
        projections: Vec<Projection<B>>,
        dy: Vec<Option<Tensor<B, 2>>>,
        wanted: &[bool],
        precision: Precision,
    ) -> Vec<Option<Tensor<B, 2>>>;
}

all_of! {
    /// Every gradient of a model.
    ModelBackward = EmbeddingBackward + RmsNormBackward + SwiGluBackward + CausalAttentionBackward
        + LinearCrossEntropyBackward + ProjectionsBackward
}
