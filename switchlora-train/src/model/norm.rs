//! Root-mean-square norm: `y = x / sqrt(mean(x^2) + eps) * weight`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use switchlora_ops::rms_norm;

/// Normalizes the last dimension. As Hugging Face's `LlamaRMSNorm`.
#[derive(Module, Debug)]
pub struct RmsNorm<B: Backend> {
    /// `[hidden]`, starts at 1.
    pub weight: Param<Tensor<B, 1>>,
    /// Added to the mean of squares.
    pub epsilon: f64,
}

impl<B: Backend> RmsNorm<B> {
    /// A norm over vectors of the given length.
    pub fn new(hidden: usize, epsilon: f64, device: &B::Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([hidden], device)),
            epsilon,
        }
    }

    /// Normalizes each row of `[tokens, hidden]`.
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        rms_norm(x, self.weight.val(), self.epsilon)
    }
}
