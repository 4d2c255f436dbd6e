//! What the products of matrices are computed in. Everything between them, and everything that is kept, is f32.
//!
//! With bf16 the operands of a product are rounded to 8 bits of mantissa on their way into it: half the traffic, and the
//! matrix units of a GPU. Weights, factors, norms, moments and candidates stay f32, so nothing is lost between updates.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, module::linear};
use serde::{Deserialize, Serialize};

/// What the products of matrices are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats with the range of f32.
    Bf16,
}

impl Precision {
    /// The type of a product's operands.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// `tensor` as an operand of a product.
    pub fn round<B: Backend, const D: usize>(self, tensor: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::F32 => tensor,
            Self::Bf16 => tensor.cast(DType::BF16),
        }
    }

    /// The result of a product of rounded operands as everything else is computed in, f32.
    pub fn widen<B: Backend, const D: usize>(self, tensor: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::F32 => tensor,
            Self::Bf16 => tensor.cast(DType::F32),
        }
    }

    /// `a b`.
    pub fn matmul<B: Backend, const D: usize>(
        self,
        a: Tensor<B, D>,
        b: Tensor<B, D>,
    ) -> Tensor<B, D> {
        self.widen(self.round(a).matmul(self.round(b)))
    }

    /// `x W` for `x: [..., d_input]` and `W: [d_input, d_output]`.
    pub fn linear<B: Backend, const D: usize>(
        self,
        x: Tensor<B, D>,
        weight: Tensor<B, 2>,
    ) -> Tensor<B, D> {
        self.widen(linear(self.round(x), self.round(weight), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SwitchLoraConfig, SwitchSchedule};
    use burn::backend::Autodiff;
    use burn::tensor::Distribution;
    use burn_flex::Flex;

    type B = Autodiff<Flex>;

    /// Output, and gradients of input and factors, of one layer.
    fn run(precision: Precision, rank: Option<usize>) -> Vec<Vec<f32>> {
        let device = Default::default();
        B::seed(&device, 7);
        let method = SwitchLoraConfig {
            precision,
            ..SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap()
        };
        let layer = method.linear(33, 20).with_bias(true).init::<B>(&device);
        let x = Tensor::<B, 2>::random([17, 33], Distribution::Normal(0.0, 1.0), &device);
        let x = x.require_grad();
        let y = layer.forward(x.clone());
        assert_eq!(y.dtype(), DType::F32);
        let gradients = y.clone().square().sum().backward();
        let mut found = vec![y.into_data(), x.grad(&gradients).unwrap().into_data()];
        for factor in [&layer.lora_a, &layer.lora_b].into_iter().flatten() {
            let gradient = factor.grad(&gradients).unwrap();
            assert_eq!(gradient.dtype(), DType::F32);
            found.push(gradient.into_data());
        }
        if rank.is_none() {
            found.push(layer.weight.grad(&gradients).unwrap().into_data());
        }
        found
            .iter()
            .map(|data| data.iter::<f32>().collect())
            .collect()
    }

    #[test]
    fn bf16_computes_what_f32_does_to_two_digits_and_gradients_come_back_in_f32() {
        for rank in [None, Some(4)] {
            let (exact, rounded) = (run(Precision::F32, rank), run(Precision::Bf16, rank));
            assert_ne!(exact, rounded);
            for (exact, rounded) in exact.iter().zip(&rounded) {
                let norm = |values: &mut dyn Iterator<Item = f32>| {
                    values.map(|v| v * v).sum::<f32>().sqrt()
                };
                let off = norm(&mut exact.iter().zip(rounded).map(|(a, b)| a - b));
                let size = norm(&mut exact.iter().copied());
                // Operands and results are off by up to 2^-9 of themselves, and several meet in a gradient.
                assert!(off < 0.02 * size, "{off} of {size}");
            }
        }
    }
}
