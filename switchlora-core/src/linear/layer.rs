//! The layer: `y = x (W + s AᵀB) + bias`.

use burn::module::{Param, ParamId};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use switchlora_ops::{Adapter, Precision, Projection, projections};

/// Applies `y = x (W + s AᵀB) + bias`. Created by [`SwitchLoraLinearConfig`](super::SwitchLoraLinearConfig).
///
/// Its own record keeps the scale. Formats of other programs (PyTorch, burn-store) have neither the scale nor this layer:
/// load their weights into a [`Linear`] and [adapt](super::SwitchLoraLinearConfig::adapt) it.
#[derive(Clone, Debug)]
pub struct SwitchLoraLinear<B: Backend> {
    /// `W: [d_input, d_output]`. Frozen, in f32 or bf16, if there are factors; else trained, in f32.
    pub weight: Param<Tensor<B, 2>>,
    /// `A: [rank, d_input]`.
    pub lora_a: Option<Param<Tensor<B, 2>>>,
    /// `B: [rank, d_output]`.
    pub lora_b: Option<Param<Tensor<B, 2>>>,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// `s = alpha / rank`; 0 without factors. Everything that needs the scale, the optimizer included, takes it from here.
    pub scale: f64,
    /// Precision of the matrix products.
    pub precision: Precision,
}

/// `s AᵀB: [d_input, d_output]`.
pub(super) fn product<B: Backend>(a: Tensor<B, 2>, b: Tensor<B, 2>, scale: f64) -> Tensor<B, 2> {
    a.transpose().matmul(b * scale)
}

impl<B: Backend> SwitchLoraLinear<B> {
    /// Applies the layer to `[..., d_input]`, giving `[..., d_output]`.
    ///
    /// With factors, `W` gets no gradient, even if it requires one.
    pub fn forward<const D: usize>(&self, input: Tensor<B, D>) -> Tensor<B, D> {
        let [output] = forward_together([self], input);
        output
    }

    /// `W + s AᵀB: [d_input, d_output]`.
    pub fn effective_weight(&self) -> Tensor<B, 2> {
        match (&self.lora_a, &self.lora_b) {
            (Some(a), Some(b)) => {
                let product = product(a.val(), b.val(), self.scale);
                self.weight.val().cast(product.dtype()) + product
            }
            _ => self.weight.val(),
        }
    }

    /// A plain linear layer that computes the same.
    pub fn merge(self) -> Linear<B> {
        Linear {
            weight: Param::initialized(ParamId::new(), self.effective_weight().detach())
                .set_require_grad(true),
            bias: self.bias,
        }
    }

    /// Weight and factors, as [`projections`] takes them.
    fn projection(&self) -> Projection<B> {
        let factors = self.lora_a.as_ref().zip(self.lora_b.as_ref());
        Projection {
            weight: self.weight.val(),
            adapter: factors.map(|(a, b)| Adapter {
                a: a.val(),
                b: b.val(),
                scale: self.scale,
            }),
        }
    }

    /// Rank of the factors, if there are any.
    pub fn rank(&self) -> Option<usize> {
        self.lora_a.as_ref().map(|a| a.dims()[0])
    }
}

/// Applies several layers to the same `[..., d_input]`, giving `[..., d_output]` of each.
///
/// Each output equals that of [`forward`](SwitchLoraLinear::forward). Layers of the same precision are computed together
/// (see [`projections`]), which takes less time on a CPU: queries, keys and values, or the two halves of a gated MLP. Their
/// outputs belong to one backward pass: after one from some of them, another from the rest finds no gradients.
pub fn forward_together<B: Backend, const D: usize, const N: usize>(
    layers: [&SwitchLoraLinear<B>; N],
    input: Tensor<B, D>,
) -> [Tensor<B, D>; N] {
    let shape = input.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    let input = input.reshape([rows, shape[D - 1]]);
    let mut precisions: Vec<Precision> = layers.map(|layer| layer.precision).to_vec();
    precisions.dedup();
    let outputs = match precisions[..] {
        [precision] => projections(
            input,
            layers.map(SwitchLoraLinear::projection).into(),
            precision,
        ),
        _ => layers
            .into_iter()
            .flat_map(|layer| projections(input.clone(), vec![layer.projection()], layer.precision))
            .collect(),
    };
    let mut outputs = outputs.into_iter();
    layers.map(|layer| {
        let output = outputs.next().expect("an output for each layer");
        let mut shape = shape;
        shape[D - 1] = output.dims()[1];
        let output = output.reshape(shape);
        match &layer.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    })
}
