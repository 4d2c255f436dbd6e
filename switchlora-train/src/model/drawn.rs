//! Initial parameters, drawn one after the other on the host: the same on every backend.

use super::config::{Classifier, LlamaConfig};
use super::norm::RmsNorm;
use super::weight_init::{Place, WeightInit};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use switchlora_core::{Purpose, SwitchLoraConfig, SwitchLoraLinear, stream};

/// Draws the parameters of a model.
pub(super) struct Drawn<'a, B: Backend> {
    pub config: &'a LlamaConfig,
    pub method: &'a SwitchLoraConfig,
    init: WeightInit,
    /// `None` for zeros, where the weights come from a file.
    seed: Option<u64>,
    /// Parameters drawn so far; each has its own stream of random numbers.
    count: u64,
    pub device: &'a B::Device,
}

/// The head of a new classifier, `[labels, hidden]` as in a file.
pub fn drawn_score(config: &LlamaConfig, classifier: &Classifier, seed: u64) -> TensorData {
    let shape = [classifier.outputs(), config.hidden_size];
    let mut random = stream(seed, Purpose::Head, 0, 0);
    TensorData::new(normal(shape, config.initializer_range, &mut random), shape)
}

/// Normal numbers with this standard deviation.
fn normal([rows, columns]: [usize; 2], deviation: f64, random: &mut ChaCha8Rng) -> Vec<f32> {
    let deviation = deviation as f32;
    let mut draw = || -> f32 { StandardNormal.sample(random) };
    (0..rows * columns).map(|_| draw() * deviation).collect()
}

impl<'a, B: Backend> Drawn<'a, B> {
    pub fn new(
        config: &'a LlamaConfig,
        method: &'a SwitchLoraConfig,
        init: WeightInit,
        seed: Option<u64>,
        device: &'a B::Device,
    ) -> Self {
        Self {
            config,
            method,
            init,
            seed,
            count: 0,
            device,
        }
    }

    fn next(&mut self) -> ChaCha8Rng {
        self.count += 1;
        let seed = self.seed.unwrap_or_default();
        stream(seed, Purpose::Weights, self.count, 0)
    }

    /// An embedding or a head, `[rows, columns]`.
    pub fn table(&mut self, rows: usize, columns: usize) -> Param<Tensor<B, 2>> {
        self.normal(rows, columns, self.config.initializer_range)
    }

    /// A matrix of normal numbers with this standard deviation, `[rows, columns]`.
    fn normal(&mut self, rows: usize, columns: usize, deviation: f64) -> Param<Tensor<B, 2>> {
        let mut random = self.next();
        if self.seed.is_none() {
            return Param::from_tensor(Tensor::zeros([rows, columns], self.device));
        }
        let values = normal([rows, columns], deviation, &mut random);
        let values = TensorData::new(values, [rows, columns]);
        Param::from_tensor(Tensor::from_data(values, self.device))
    }

    /// A projection, adapted as the method says.
    pub fn linear(&mut self, d_input: usize, d_output: usize, place: Place) -> SwitchLoraLinear<B> {
        let deviation = self.init.deviation(self.config, d_input, place);
        let linear = Linear {
            weight: self.normal(d_input, d_output, deviation),
            bias: None,
        };
        let mut config = self.method.linear(d_input, d_output);
        // Zeros that nobody computes with take no memory until the file's weights replace them.
        config.zero_weight |= self.seed.is_none();
        config.adapt_from(linear, &mut self.next())
    }

    /// A norm over the hidden dimension.
    pub fn norm(&self) -> RmsNorm<B> {
        let LlamaConfig {
            hidden_size,
            rms_norm_eps,
            ..
        } = *self.config;
        RmsNorm::new(hidden_size, rms_norm_eps, self.device)
    }
}
