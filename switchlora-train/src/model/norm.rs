//! Root-mean-square norm: `y = x / sqrt(mean(x^2) + eps) * weight`.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

/// Normalizes the last dimension. As Hugging Face's `LlamaRMSNorm`.
///
/// On a CPU it is computed in f64, which keeps the rounding of its long chain of gradients out of comparisons between
/// backends and with other programs.
#[derive(Module, Debug)]
pub struct RmsNorm<B: Backend> {
    /// `[hidden]`, starts at 1.
    pub weight: Param<Tensor<B, 1>>,
    /// Added to the mean of squares.
    pub epsilon: f64,
    /// Whether it is computed in f64.
    double: bool,
}

impl<B: Backend> RmsNorm<B> {
    /// A norm over vectors of the given length.
    pub fn new(hidden: usize, epsilon: f64, device: &B::Device) -> Self {
        let backend = B::name(device);
        Self {
            weight: Param::from_tensor(Tensor::ones([hidden], device)),
            epsilon,
            double: backend.contains("flex") || backend.contains("ndarray"),
        }
    }

    /// Normalizes each row of `[tokens, hidden]`.
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let dtype = x.dtype();
        let x = match self.double {
            true => x.cast(DType::F64),
            false => x,
        };
        let mean = (x.clone() * x.clone()).mean_dim(1); // [tokens, 1]
        let root = (mean + self.epsilon).sqrt();
        (x / root).cast(dtype) * self.weight.val().unsqueeze()
    }
}
