//! The model: embeddings, decoder blocks, a last norm and the output head. Fields are named as in Hugging Face's files.

use super::config::LlamaConfig;
use super::decoder::DecoderLayer;
use super::norm::RmsNorm;
use super::rotary::Positions;
use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use switchlora_core::{
    FactorInit, Purpose, SwitchLoraConfig, SwitchLoraLinear, SwitchLoraLinearConfig, stream,
};

/// A LLaMA without its head.
#[derive(Module, Debug)]
pub struct Llama<B: Backend> {
    /// `[vocabulary, hidden]`.
    pub embed_tokens: Embedding<B>,
    /// Decoder blocks.
    pub layers: Vec<DecoderLayer<B>>,
    /// Before the head.
    pub norm: RmsNorm<B>,
}

/// A LLaMA that predicts the next token.
#[derive(Module, Debug)]
pub struct LlamaForCausalLm<B: Backend> {
    /// Everything but the head.
    pub model: Llama<B>,
    /// `[hidden, vocabulary]`; none when the embedding is the head.
    pub lm_head: Option<Linear<B>>,
    /// Rotary tables and causal mask.
    pub positions: Positions<B>,
}

/// Draws the parameters of a model one after the other, on the host: the same on every backend.
pub struct Drawn<'a, B: Backend> {
    config: &'a LlamaConfig,
    method: &'a SwitchLoraConfig,
    factors: FactorInit,
    seed: u64,
    /// Parameters drawn so far; each has a stream of its own.
    count: u64,
    device: &'a B::Device,
}

impl<B: Backend> Drawn<'_, B> {
    fn next(&mut self) -> ChaCha8Rng {
        self.count += 1;
        stream(self.seed, Purpose::Weights, self.count, 0)
    }

    /// A matrix of normal numbers with the model's deviation, `[rows, columns]`.
    fn normal(&mut self, rows: usize, columns: usize) -> Param<Tensor<B, 2>> {
        let mut random = self.next();
        let deviation = self.config.initializer_range as f32;
        let mut draw = || -> f32 { StandardNormal.sample(&mut random) };
        let values: Vec<f32> = (0..rows * columns).map(|_| draw() * deviation).collect();
        let values = TensorData::new(values, [rows, columns]);
        Param::from_tensor(Tensor::from_data(values, self.device))
    }

    /// A projection that is adapted as the method says.
    pub(super) fn linear(&mut self, d_input: usize, d_output: usize) -> SwitchLoraLinear<B> {
        let linear = Linear {
            weight: self.normal(d_input, d_output),
            bias: None,
        };
        let config: SwitchLoraLinearConfig = self.method.linear(d_input, d_output);
        let mut random = self.next();
        config
            .with_factors(self.factors)
            .adapt_from(linear, &mut random)
    }

    pub(super) fn norm(&mut self, config: &LlamaConfig) -> RmsNorm<B> {
        RmsNorm::new(config.hidden_size, config.rms_norm_eps, self.device)
    }
}

impl<B: Backend> LlamaForCausalLm<B> {
    /// A new model, the same for the same seed on every backend.
    ///
    /// `config` must be [valid](LlamaConfig::validate).
    pub fn new(
        config: &LlamaConfig,
        method: &SwitchLoraConfig,
        factors: FactorInit,
        seed: u64,
        device: &B::Device,
    ) -> Self {
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        let mut drawn = Drawn {
            config,
            method,
            factors,
            seed,
            count: 0,
            device,
        };
        let model = Llama {
            embed_tokens: Embedding {
                weight: drawn.normal(vocabulary, hidden),
            },
            layers: (0..config.num_hidden_layers)
                .map(|_| DecoderLayer::draw(config, &mut drawn))
                .collect(),
            norm: drawn.norm(config),
        };
        let lm_head = (!config.tie_word_embeddings).then(|| Linear {
            weight: drawn.normal(hidden, vocabulary),
            bias: None,
        });
        Self {
            model,
            lm_head,
            positions: Positions::new(
                config.max_position_embeddings,
                config.head_dim(),
                config.rope_theta,
                device,
            ),
        }
    }

    /// The last hidden state of each token of `[batch, length]`, after the norm, `[batch * length, hidden]`.
    pub fn hidden(&self, tokens: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let [batch, _] = tokens.dims();
        let x = self.model.embed_tokens.forward(tokens).flatten(0, 1); // [batch * length, hidden]
        let blocks = self.model.layers.iter();
        let x = blocks.fold(x, |x, block| block.forward(x, batch, &self.positions));
        self.model.norm.forward(x)
    }

    /// Scores of the next token, `[tokens, vocabulary]`, from hidden states `[tokens, hidden]`.
    pub fn logits(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => hidden.matmul(self.model.embed_tokens.weight.val().transpose()),
        }
    }

    /// Mean cross-entropy of `targets` given `inputs`, both `[batch, length]`; gives `[1]`, in nats a token.
    pub fn loss(&self, inputs: Tensor<B, 2, Int>, targets: Tensor<B, 2, Int>) -> Tensor<B, 1> {
        let logits = self.logits(self.hidden(inputs)); // [batch * length, vocabulary]
        let targets = targets.flatten::<1>(0, 1).unsqueeze_dim(1); // [batch * length, 1]
        log_softmax(logits, 1).gather(1, targets).mean().neg()
    }
}
