//! A linear layer with a frozen weight and two trained factors of low rank.

use crate::Precision;
use crate::operations::operations;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What an adapted linear layer is made of.
#[derive(Clone, Debug)]
pub struct Adapter<B: Backend> {
    /// `W: [d_input, d_output]`, frozen: it gets no gradient. It may be in another type than everything else.
    pub weight: Tensor<B, 2>,
    /// `A: [rank, d_input]`.
    pub a: Tensor<B, 2>,
    /// `B: [rank, d_output]`.
    pub b: Tensor<B, 2>,
    /// `s`.
    pub scale: f64,
}

/// `x (W + s AᵀB)`, `[tokens, d_output]`, for `x: [tokens, d_input]`; products in `precision`.
pub fn adapted_linear<B: Backend>(
    x: Tensor<B, 2>,
    adapter: Adapter<B>,
    precision: Precision,
) -> Tensor<B, 2> {
    operations::<B>(x.dtype(), precision).adapted_linear(x, adapter)
}
