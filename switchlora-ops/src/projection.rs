//! Arguments of [`projections`](crate::projections).

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A linear layer without bias: `W`, or `W + s AᵀB` with a LoRA adapter.
#[derive(Clone, Debug)]
pub struct Projection<B: Backend> {
    /// `W: [d_input, d_output]`. With an adapter, `W` is frozen: it gets no gradient and may have another dtype than the other
    /// tensors.
    pub weight: Tensor<B, 2>,
    /// The LoRA factors, if the layer has any.
    pub adapter: Option<Adapter<B>>,
}

impl<B: Backend> Projection<B> {
    /// A layer without adapter.
    pub(crate) fn full(weight: Tensor<B, 2>) -> Self {
        let adapter = None;
        Self { weight, adapter }
    }
}

/// LoRA factors of a linear layer.
#[derive(Clone, Debug)]
pub struct Adapter<B: Backend> {
    /// `A: [rank, d_input]`.
    pub a: Tensor<B, 2>,
    /// `B: [rank, d_output]`.
    pub b: Tensor<B, 2>,
    /// The scale `s`.
    pub scale: f64,
}
