//! A linear layer that is trained through two factors of low rank: `y = x (W + s AᵀB) + bias` (Equation 1).
//!
//! With `n` inputs and `m` outputs, `W: [n, m]` is frozen, `A: [rank, n]` and `B: [rank, m]` are trained, and
//! `s = alpha / rank`. LoRA vectors are the ROWS of both factors, so that exchanging one, resetting its optimizer state
//! and freezing it is the same row operation on either side. Without a rank the layer is a plain linear one, so that every
//! method trains the same model type.

use crate::init::{Bounds, uniform};
use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param, ParamId};
use burn::nn::{Initializer, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};
use switchlora_ops::{Adapter, Precision, Projection, projections};

/// Configuration of a [`SwitchLoraLinear`].
#[derive(Config, Debug)]
pub struct SwitchLoraLinearConfig {
    /// Number of inputs `n`.
    pub d_input: usize,
    /// Number of outputs `m`.
    pub d_output: usize,
    /// Rank `r` of the factors, at least 1; none for a plain, fully trained linear layer.
    #[config(default = "None")]
    pub rank: Option<usize>,
    /// `alpha`; the scale is `alpha / rank`.
    #[config(default = "1.0")]
    pub alpha: f64,
    /// Whether there is a bias (always trained).
    #[config(default = "false")]
    pub bias: bool,
    /// Distribution of the weight `W0`, before the product of the factors is subtracted.
    #[config(
        default = "Initializer::KaimingUniform { gain: 0.5773502691896258, fan_out_only: false }"
    )]
    pub initializer: Initializer,
    /// Distribution of the factors.
    #[config(default = "FactorInit::SwitchLora")]
    pub factors: FactorInit,
    /// Whether `W` starts at zero where there are factors, so that the layer starts as `s AᵀB` (and its bias) alone.
    #[config(default = "false")]
    pub zero_weight: bool,
    /// Precision of the layer's matrix products.
    #[config(default = "Precision::F32")]
    pub precision: Precision,
    /// Dtype of the frozen weight in memory; without factors the weight is trained and in f32.
    #[config(default = "Precision::F32")]
    pub frozen: Precision,
}

/// How the factors start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorInit {
    /// Both sides uniform with the paper's bounds (Section 3.4).
    #[default]
    SwitchLora,
    /// A uniform on `+-1/sqrt(n)`, B zero: plain LoRA.
    Lora,
}

impl FactorInit {
    /// Bounds of the factors of a layer, and of their candidates.
    pub(crate) fn bounds(self, d_input: usize, d_output: usize, rank: usize) -> Bounds {
        match self {
            Self::SwitchLora => Bounds::new(d_input, d_output, rank),
            Self::Lora => Bounds::lora(d_input),
        }
    }
}

/// Applies `y = x (W + s AᵀB) + bias`. Created by [`SwitchLoraLinearConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SwitchLoraLinear<B: Backend> {
    /// `W: [d_input, d_output]`. Frozen, in f32 or bf16, if there are factors; else trained, in f32.
    pub weight: Param<Tensor<B, 2>>,
    /// `A: [rank, d_input]`.
    pub lora_a: Option<Param<Tensor<B, 2>>>,
    /// `B: [rank, d_output]`.
    pub lora_b: Option<Param<Tensor<B, 2>>>,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// `s = alpha / rank`.
    pub scale: f64,
    /// Precision of the matrix products.
    #[module(skip)]
    pub precision: Precision,
}

impl SwitchLoraLinearConfig {
    /// Bounds of the uniform distributions of the factors.
    ///
    /// # Panics
    ///
    /// If the rank is `None` or 0.
    pub fn bounds(&self) -> Bounds {
        let rank = self.rank.expect("a layer with factors");
        assert!(
            rank > 0,
            "the rank of a SwitchLoraLinear must be at least 1"
        );
        self.factors.bounds(self.d_input, self.d_output, rank)
    }

    /// A new layer, drawn by the backend's own random numbers (see `B::seed`).
    ///
    /// `W` starts as `W0 - s AᵀB`, so that the layer computes the same as a plain linear layer with the weight `W0` (within
    /// the rounding of `W`, if it is kept in bf16).
    ///
    /// # Panics
    ///
    /// If the rank is 0.
    pub fn init<B: Backend>(&self, device: &B::Device) -> SwitchLoraLinear<B> {
        let weight = self.initializer.init_with(
            [self.d_input, self.d_output],
            Some(self.d_input),
            Some(self.d_output),
            device,
        );
        let bias = self.bias.then(|| {
            let [fan_in, fan_out] = [Some(self.d_input), Some(self.d_output)];
            self.initializer
                .init_with([self.d_output], fan_in, fan_out, device)
        });
        self.adapt(Linear { weight, bias })
    }

    /// Adapts an existing linear layer; its output stays the same, unless [`zero_weight`](Self::zero_weight) is set. The
    /// factors are drawn by the backend.
    ///
    /// # Panics
    ///
    /// If the shapes differ from the configuration's, or the rank is 0.
    pub fn adapt<B: Backend>(&self, linear: Linear<B>) -> SwitchLoraLinear<B> {
        let device = linear.weight.device();
        let factors = self.rank.map(|rank| {
            let bounds = self.bounds();
            let draw = |columns: usize, bound: f64| {
                let shape = [rank, columns];
                match bound > 0.0 {
                    true => Tensor::random(shape, Distribution::Uniform(-bound, bound), &device),
                    false => Tensor::zeros(shape, &device),
                }
            };
            (draw(self.d_input, bounds.a), draw(self.d_output, bounds.b))
        });
        self.adapt_with(linear, factors)
    }

    /// Adapts an existing linear layer; the factors are drawn on the host from `rng`, the same on every backend.
    ///
    /// # Panics
    ///
    /// If the shapes differ from the configuration's, or the rank is 0.
    pub fn adapt_from<B: Backend>(
        &self,
        linear: Linear<B>,
        rng: &mut impl Rng,
    ) -> SwitchLoraLinear<B> {
        let device = linear.weight.device();
        let factors = self.rank.map(|rank| {
            let bounds = self.bounds();
            let a = uniform(rank, self.d_input, bounds.a, rng);
            let b = uniform(rank, self.d_output, bounds.b, rng);
            (Tensor::from_data(a, &device), Tensor::from_data(b, &device))
        });
        self.adapt_with(linear, factors)
    }

    fn adapt_with<B: Backend>(
        &self,
        linear: Linear<B>,
        factors: Option<(Tensor<B, 2>, Tensor<B, 2>)>,
    ) -> SwitchLoraLinear<B> {
        assert_eq!(
            linear.weight.dims(),
            [self.d_input, self.d_output],
            "the weight of the linear layer has another shape than the configuration",
        );
        let Some((a, b)) = factors else {
            return SwitchLoraLinear {
                weight: linear.weight,
                lora_a: None,
                lora_b: None,
                bias: linear.bias,
                scale: 0.0,
                precision: self.precision,
            };
        };
        let scale = self.alpha / a.dims()[0] as f64;
        let (id, weight, mapper) = linear.weight.consume();
        let weight = match self.zero_weight {
            true => weight.detach().zeros_like(),
            false => weight.detach() - product(a.clone(), b.clone(), scale),
        };
        let weight = self.frozen.round(weight);
        SwitchLoraLinear {
            weight: Param::from_mapped_value(id, weight, mapper).set_require_grad(false),
            lora_a: Some(Param::from_tensor(a)),
            lora_b: Some(Param::from_tensor(b)),
            bias: linear.bias,
            scale,
            precision: self.precision,
        }
    }
}

/// `s AᵀB: [d_input, d_output]`.
fn product<B: Backend>(a: Tensor<B, 2>, b: Tensor<B, 2>, scale: f64) -> Tensor<B, 2> {
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
/// (see [`projections`]), which takes less time on a CPU: queries, keys and values, or the two halves of a gated MLP.
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

impl<B: Backend> ModuleDisplay for SwitchLoraLinear<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [d_input, d_output] = self.weight.dims();
        let content = content
            .add("d_input", &d_input)
            .add("d_output", &d_output)
            .add("bias", &self.bias.is_some());
        match self.rank() {
            Some(rank) => content.add("rank", &rank).add("scale", &self.scale),
            None => content,
        }
        .optional()
    }
}
