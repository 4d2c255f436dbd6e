//! Factors that the optimizer holds for a weight that its module has as a plain one.
//!
//! The module's weight is `W + s AᵀB` at all times. A step of the factors changes it by `s (A'ᵀB' - AᵀB)`, and a switch or a
//! restart by nothing: `W`, which nobody holds, absorbs what the factors lose.

use burn::module::ParamId;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use switchlora_ops::add_product;

/// The factors of one weight.
#[derive(Clone, Debug)]
pub(crate) struct Factors<B: Backend> {
    /// Side A, `[rank, d_input]`.
    pub a: Factor<B>,
    /// Side B, `[rank, d_output]`.
    pub b: Factor<B>,
    /// `s`, the factor of `AᵀB`.
    pub scale: f64,
    /// Whether the rows of the weight are outputs, as in a convolution, and not inputs, as in a linear layer.
    pub outputs_first: bool,
}

/// One side, with the id by which its moments are kept.
#[derive(Clone, Debug)]
pub(crate) struct Factor<B: Backend> {
    pub id: ParamId,
    pub value: Tensor<B, 2>,
}

impl<B: Backend> Factors<B> {
    /// `weight` after its factors have become `self`; in place if nobody else holds it. It is `[d_input, d_output]`, or
    /// `[d_output, d_input]` if its [outputs come first](Self::outputs_first).
    ///
    /// With the differences `dA = A' - A` and `dB = B' - B` the change is `s (dAᵀB' + AᵀdB)`, one product of rank `2 r`: taken
    /// so, what is rounded is as small as the step. If the update was refused the differences are zero.
    pub fn follow(&self, weight: Tensor<B, 2>, before: [Tensor<B, 2>; 2]) -> Tensor<B, 2> {
        let [a, b] = before;
        let a_step = self.a.value.clone() - a.clone();
        let b_step = self.b.value.clone() - b;
        let on_a = Tensor::cat(vec![a_step, a], 0); // [2 rank, d_input]
        let on_b = Tensor::cat(vec![self.b.value.clone(), b_step], 0) * self.scale; // [2 rank, d_output]
        match self.outputs_first {
            true => add_product(weight, on_b, on_a, None),
            false => add_product(weight, on_a, on_b, None),
        }
    }
}
