//! AdamW over the rows of a matrix, each with its own rate.

use crate::Precision;
use crate::operations::operations;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The numbers of one update. Those of rows are one for each row, or a single one for all.
#[derive(Clone, Debug)]
pub struct AdamWRows {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Factor of the gradient, as clipping gives it.
    pub gradient_scale: f64,
    /// Learning rate of rows, the bias corrections of both moments in it.
    pub rates: Vec<f32>,
    /// Added to the root of the second moment of rows, the bias correction in it.
    pub epsilons: Vec<f32>,
    /// What weight decay leaves of rows: `1 - learning rate * decay`.
    pub remaining: Vec<f32>,
    /// Rows whose moments become zero before the update.
    pub reset: Vec<usize>,
    /// Rows whose gradient is taken for zero.
    pub frozen: Vec<usize>,
}

/// First and second moment of one parameter, `[rows, columns]` each.
#[derive(Clone, Debug)]
pub struct Moments<B: Backend> {
    /// Mean of gradients.
    pub first: Tensor<B, 2>,
    /// Mean of squared gradients.
    pub second: Tensor<B, 2>,
}

/// One AdamW update of `parameter: [rows, columns]`; without moments, they are zero.
///
/// `m <- beta_1 m + (1 - beta_1) g`, `v <- beta_2 v + (1 - beta_2) g^2`, `p <- p remaining - rate m / (sqrt(v) + epsilon)`.
///
/// `verdict: [1]` is a further factor of the gradient that only the device knows. If it is negative, the update is
/// refused: parameter and moments stay as they are, to the bit.
pub fn adamw<B: Backend>(
    parameter: Tensor<B, 2>,
    gradient: Tensor<B, 2>,
    moments: Option<Moments<B>>,
    rows: &AdamWRows,
    verdict: Option<Tensor<B, 1>>,
) -> (Tensor<B, 2>, Moments<B>) {
    let by = operations::<B>(parameter.dtype(), Precision::F32);
    by.adamw(parameter, gradient, moments, rows, verdict)
}
