//! Linear maps of one input: full weights, or frozen weights with trained factors of low rank.

use crate::Precision;
use crate::operations::operations;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A linear map: `W`, or `W + s AᵀB`.
#[derive(Clone, Debug)]
pub struct Projection<B: Backend> {
    /// `W: [d_input, d_output]`. Beside an adapter it is frozen, gets no gradient, and may be in another type than
    /// everything else.
    pub weight: Tensor<B, 2>,
    /// The factors, if there are any.
    pub adapter: Option<Adapter<B>>,
}

/// Two factors of low rank.
#[derive(Clone, Debug)]
pub struct Adapter<B: Backend> {
    /// `A: [rank, d_input]`.
    pub a: Tensor<B, 2>,
    /// `B: [rank, d_output]`.
    pub b: Tensor<B, 2>,
    /// `s`.
    pub scale: f64,
}

/// `x W` or `x (W + s AᵀB)`, `[tokens, d_output]`, for `x: [tokens, d_input]` and each of `projections`; products in `precision`.
///
/// Projections of the same input are better computed together: their products are divided among threads as one, and their
/// gradients of `x` are one sum.
pub fn projections<B: Backend>(
    x: Tensor<B, 2>,
    projections: Vec<Projection<B>>,
    precision: Precision,
) -> Vec<Tensor<B, 2>> {
    operations::<B>(x.dtype(), precision).projections(x, projections)
}

/// `x W`, `[tokens, d_output]`, for `x: [tokens, d_input]` and `W: [d_input, d_output]`; the product in `precision`.
pub fn linear<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    precision: Precision,
) -> Tensor<B, 2> {
    let plain = Projection {
        weight,
        adapter: None,
    };
    let mut outputs = projections(x, vec![plain], precision);
    outputs
        .pop()
        .unwrap_or_else(|| unreachable!("one output for each projection"))
}
