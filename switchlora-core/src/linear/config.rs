//! How a layer is made: new, or from a linear layer that exists.

use super::layer::{SwitchLoraLinear, product};
use crate::config_error::{ConfigError, in_range, insist};
use crate::init::{Bounds, uniform};
use burn::config::Config;
use burn::module::Param;
use burn::nn::{Initializer, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Distribution, Tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};
use switchlora_ops::Precision;

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
    /// `alpha`, not 0; the scale is `alpha / rank`.
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

impl SwitchLoraLinearConfig {
    /// Checks every field.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (n, m) = (self.d_input, self.d_output);
        in_range("d_input", n as f64, n > 0, "at least 1")?;
        in_range("d_output", m as f64, m > 0, "at least 1")?;
        if self.rank == Some(0) {
            return Err(ConfigError::ZeroRank);
        }
        validate_alpha(self.alpha)
    }

    /// The scale of the factors, `alpha / rank`; `None` without a rank.
    pub fn scale(&self) -> Option<f64> {
        self.rank.map(|rank| self.alpha / rank as f64)
    }

    /// Bounds of the uniform distributions of the factors.
    ///
    /// # Panics
    ///
    /// If the rank is `None` or 0.
    pub fn bounds(&self) -> Bounds {
        let rank = self.rank.expect("a layer with factors");
        assert!(rank > 0, "{}", ConfigError::ZeroRank);
        self.factors.bounds(self.d_input, self.d_output, rank)
    }

    /// Panics where [`validate`](Self::validate) returns an error: the only way to a layer leads through here.
    fn check(&self) {
        insist("a SwitchLoraLinear", self.validate());
    }

    /// A new layer, drawn by the backend's own random numbers (see `B::seed`).
    ///
    /// `W` starts as `W0 - s AᵀB`, so that the layer computes the same as a plain linear layer with the weight `W0` (within
    /// the rounding of `W`, if it is kept in bf16).
    ///
    /// # Panics
    ///
    /// If the configuration is not [valid](Self::validate).
    pub fn init<B: Backend>(&self, device: &B::Device) -> SwitchLoraLinear<B> {
        self.check();
        let fans = [Some(self.d_input), Some(self.d_output)];
        let shape = [self.d_input, self.d_output];
        let draw = &self.initializer;
        let weight = draw.init_with(shape, fans[0], fans[1], device);
        let bias = self
            .bias
            .then(|| draw.init_with([self.d_output], fans[0], fans[1], device));
        self.adapt(Linear { weight, bias })
    }

    /// Adapts an existing linear layer; its output stays the same, unless [`zero_weight`](Self::zero_weight) is set. The
    /// factors are drawn by the backend.
    ///
    /// # Panics
    ///
    /// If the shapes differ from the configuration's, the configuration is not [valid](Self::validate), or the backend has no
    /// bf16 where that is asked for.
    pub fn adapt<B: Backend>(&self, linear: Linear<B>) -> SwitchLoraLinear<B> {
        self.check();
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
    /// If the shapes differ from the configuration's, the configuration is not [valid](Self::validate), or the backend has no
    /// bf16 where that is asked for.
    pub fn adapt_from<B: Backend>(
        &self,
        linear: Linear<B>,
        rng: &mut impl Rng,
    ) -> SwitchLoraLinear<B> {
        self.check();
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
        let dtypes = [self.frozen, self.precision].map(Precision::dtype);
        for dtype in dtypes.into_iter().filter(|&dtype| dtype != DType::F32) {
            assert!(
                B::supports_dtype(&linear.weight.device(), dtype),
                "the backend {} has no {dtype:?}, in which the layer is to compute or to keep its weight",
                B::name(&linear.weight.device()),
            );
        }
        // Without the mappers of its parameter: those of a linear layer whose layout is `Col` would transpose the weight
        // in each record.
        let (id, weight, _) = linear.weight.consume();
        let bias = linear.bias;
        // Drawn now: the copies of a parameter that is not drawn yet draw each their own.
        bias.iter().for_each(|bias| drop(bias.val()));
        let (Some((a, b)), Some(scale)) = (factors, self.scale()) else {
            let trained = weight.is_require_grad();
            let weight = weight.detach().set_require_grad(trained);
            return SwitchLoraLinear {
                weight: Param::initialized(id, weight),
                lora_a: None,
                lora_b: None,
                bias,
                scale: 0.0,
                precision: self.precision,
            };
        };
        let weight = match self.zero_weight {
            true => weight.detach().zeros_like(),
            false => weight.detach() - product(a.clone(), b.clone(), scale),
        };
        let weight = self.frozen.round(weight);
        SwitchLoraLinear {
            weight: Param::initialized(id, weight).set_require_grad(false),
            lora_a: Some(Param::from_tensor(a)),
            lora_b: Some(Param::from_tensor(b)),
            bias,
            scale,
            precision: self.precision,
        }
    }
}

/// Checks the numerator of the scale.
pub(crate) fn validate_alpha(alpha: f64) -> Result<(), ConfigError> {
    let (size, expected) = (alpha.abs(), "a number whose absolute value is 1e-6 to 1e6");
    in_range("alpha", alpha, (1e-6..=1e6).contains(&size), expected)
}
