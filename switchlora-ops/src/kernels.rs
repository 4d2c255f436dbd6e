//! What a backend must compute for the operations to have gradients of our own on it: each forward, and each backward.
//!
//! Everything here is outside any graph. The one implementation of the gradients for autodiff over such a backend is in
//! [`differentiable`](crate::differentiable).

use crate::{AdamWRows, Heads, Precision};
use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};

/// What attention takes, see [`Attention`](crate::Attention).
#[derive(Clone, Debug)]
pub(crate) struct AttentionInputs<B: Backend> {
    pub q: FloatTensor<B>,
    pub k: FloatTensor<B>,
    pub v: FloatTensor<B>,
    pub cos: FloatTensor<B>,
    pub sin: FloatTensor<B>,
    pub heads: Heads,
    /// That of products.
    pub precision: Precision,
}

/// A weight, and maybe its factors, see [`Projection`](crate::Projection).
#[derive(Clone, Debug)]
pub(crate) struct ProjectionInputs<B: Backend> {
    pub weight: FloatTensor<B>,
    pub adapter: Option<AdapterInputs<B>>,
}

/// Two factors, see [`Adapter`](crate::Adapter).
#[derive(Clone, Debug)]
pub(crate) struct AdapterInputs<B: Backend> {
    pub a: FloatTensor<B>,
    pub b: FloatTensor<B>,
    pub scale: f64,
}

/// Loss of [`linear_cross_entropy`](crate::linear_cross_entropy) and its gradients.
pub(crate) struct CrossEntropy<B: Backend> {
    pub loss: FloatTensor<B>,
    pub hidden: FloatTensor<B>,
    pub weight: FloatTensor<B>,
}

/// A backend with kernels of its own. Shapes are those of the public operations; `precision` is that of products.
pub(crate) trait Kernels: Backend {
    /// The rows of `weight` that `tokens` name.
    fn embedding(weight: &FloatTensor<Self>, tokens: &IntTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of a weight of `vocabulary` rows.
    fn embedding_backward(
        tokens: &IntTensor<Self>,
        vocabulary: usize,
        dy: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn rms_norm(
        x: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// Gradients of `x` and of `weight`.
    fn rms_norm_backward(
        x: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        epsilon: f64,
        dy: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    fn swiglu(gate: &FloatTensor<Self>, up: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradients of `gate` and of `up`.
    fn swiglu_backward(
        gate: &FloatTensor<Self>,
        up: &FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    fn causal_attention(inputs: &AttentionInputs<Self>) -> FloatTensor<Self>;

    /// Gradients of `q`, of `k` and of `v`.
    fn causal_attention_backward(
        inputs: &AttentionInputs<Self>,
        dy: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];

    /// The loss alone.
    fn cross_entropy(
        hidden: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        targets: &IntTensor<Self>,
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// The loss, and its gradients while the logits are there.
    fn cross_entropy_with_gradients(
        hidden: &FloatTensor<Self>,
        weight: &FloatTensor<Self>,
        targets: &IntTensor<Self>,
        precision: Precision,
    ) -> CrossEntropy<Self>;

    /// `x` times the one element of `factor`.
    fn scaled(x: FloatTensor<Self>, factor: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// The output of each projection.
    fn projections(
        x: &FloatTensor<Self>,
        projections: &[ProjectionInputs<Self>],
        precision: Precision,
    ) -> Vec<FloatTensor<Self>>;

    /// Gradients of `x`, and then of each projection's weight, or of its A and B; of each one that `wanted` says, given those
    /// of the outputs, none for an output that nobody used.
    fn projections_backward(
        x: &FloatTensor<Self>,
        projections: &[ProjectionInputs<Self>],
        dy: &[Option<FloatTensor<Self>>],
        wanted: &[bool],
        precision: Precision,
    ) -> Vec<Option<FloatTensor<Self>>>;

    /// The parameter, its first and its second moment after one update, which a negative `verdict` refuses.
    fn adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        moments: Option<[FloatTensor<Self>; 2]>,
        rows: &AdamWRows,
        verdict: Option<FloatTensor<Self>>,
    ) -> [FloatTensor<Self>; 3];

    fn gather_rows(matrix: &FloatTensor<Self>, rows: &[usize]) -> FloatTensor<Self>;

    fn scatter_rows(
        matrix: FloatTensor<Self>,
        rows: &[usize],
        values: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The weight may be in bf16.
    fn add_product(
        weight: FloatTensor<Self>,
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}
