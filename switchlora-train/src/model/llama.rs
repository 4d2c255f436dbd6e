//! The model: embeddings, decoder blocks, a last norm and the output head. Fields are named as in Hugging Face's files.

use super::config::LlamaConfig;
use super::decoder::DecoderLayer;
use super::drawn::Drawn;
use super::norm::RmsNorm;
use super::recompute::Recompute;
use super::rotary::Positions;
use super::weight_init::WeightInit;
use crate::data::Targets;
use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use switchlora_core::{Precision, SwitchLoraConfig};
use switchlora_ops::{embedding, linear, linear_cross_entropy};

/// A LLaMA without its head.
#[derive(Module, Debug)]
pub struct Llama<B: Backend> {
    /// Embedding of the tokens, `[vocabulary, hidden]`.
    pub embed_tokens: Embedding<B>,
    /// Decoder blocks.
    pub layers: Vec<DecoderLayer<B>>,
    /// Norm before the head.
    pub norm: RmsNorm<B>,
}

/// A LLaMA that predicts the next token, or the class of a text.
#[derive(Module, Debug)]
pub struct LlamaForCausalLm<B: Backend> {
    /// Embeddings, decoder blocks and the last norm.
    pub model: Llama<B>,
    /// Output head, `[hidden, vocabulary]`; `None` if the embedding is the head, and of a classifier.
    pub lm_head: Option<Linear<B>>,
    /// Head of a classifier, `[hidden, labels]`.
    pub score: Option<Linear<B>>,
    /// Rotary tables and causal mask.
    pub positions: Positions<B>,
    /// Dtype of the head's product.
    #[module(skip)]
    pub precision: Precision,
    /// What the backward pass of a training computes again.
    #[module(skip)]
    pub recompute: Recompute,
}

impl<B: Backend> Llama<B> {
    /// The embeddings of the tokens of `[batch, length]`, `[batch * length, hidden]`.
    pub(crate) fn embed(&self, tokens: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        embedding(self.embed_tokens.weight.val(), tokens.flatten(0, 1))
    }
}

impl<B: Backend> LlamaForCausalLm<B> {
    /// A new model, the same for the same seed on every backend.
    ///
    /// `config` must be [valid](LlamaConfig::validate).
    pub fn new(
        config: &LlamaConfig,
        method: &SwitchLoraConfig,
        seed: u64,
        device: &B::Device,
    ) -> Self {
        Self::drawn(config, method, WeightInit::default(), seed, device)
    }

    /// As [`new`](Self::new), with weights whose size follows from `init`.
    pub fn drawn(
        config: &LlamaConfig,
        method: &SwitchLoraConfig,
        init: WeightInit,
        seed: u64,
        device: &B::Device,
    ) -> Self {
        Self::draw(Drawn::new(config, method, init, Some(seed), device))
    }

    /// A model whose weights are zero, to be [imported](super::import), with the layers of `method`.
    ///
    /// `config` must be [valid](LlamaConfig::validate).
    pub fn zeroed(config: &LlamaConfig, method: &SwitchLoraConfig, device: &B::Device) -> Self {
        Self::draw(Drawn::new(
            config,
            method,
            WeightInit::default(),
            None,
            device,
        ))
    }

    /// As [`zeroed`](Self::zeroed), without adapters. Its products have the precision of `method`, for which it may then be
    /// [adapted](Self::adapted).
    pub fn blank(config: &LlamaConfig, method: &SwitchLoraConfig, device: &B::Device) -> Self {
        let rank = None;
        let plain = SwitchLoraConfig {
            rank,
            ..method.clone()
        };
        Self::zeroed(config, &plain, device)
    }

    fn draw(mut drawn: Drawn<B>) -> Self {
        let Drawn { config, device, .. } = drawn;
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        let model = Llama {
            embed_tokens: Embedding {
                weight: drawn.table(vocabulary, hidden),
            },
            layers: (0..config.num_hidden_layers)
                .map(|_| DecoderLayer::draw(&mut drawn))
                .collect(),
            norm: drawn.norm(),
        };
        let score = config.classifier.as_ref().map(|classifier| Linear {
            weight: drawn.table(hidden, classifier.outputs()),
            bias: None,
        });
        let next = score.is_none() && !config.tie_word_embeddings;
        let lm_head = next.then(|| Linear {
            weight: drawn.table(hidden, vocabulary),
            bias: None,
        });
        let (positions, theta) = (config.max_position_embeddings, config.rope_theta);
        Self {
            model,
            lm_head,
            score,
            positions: Positions::new(positions, config.head_dim(), theta, device),
            precision: drawn.method.precision,
            recompute: Recompute::default(),
        }
    }

    /// The same model, which recomputes in its backward pass what `recompute` says.
    pub fn recomputing(mut self, recompute: Recompute) -> Self {
        self.recompute = recompute;
        self
    }

    /// Returns the last hidden state of each token of `[batch, length]`, after the norm, `[batch * length, hidden]`.
    pub fn hidden(&self, tokens: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        self.model.norm.forward(self.blocks(tokens))
    }

    /// Returns the output of the last decoder block for each token of `[batch, length]`, `[batch * length, hidden]`.
    fn blocks(&self, tokens: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let [_, length] = tokens.dims();
        let tables = self.positions.tables(length);
        let x = self.model.embed(tokens); // [batch * length, hidden]
        let blocks = self.model.layers.iter();
        blocks.fold(x, |x, block| block.forward(x, &tables))
    }

    /// Returns scores of the next token, or of classes, `[tokens, vocabulary or labels]`, from hidden states `[tokens, hidden]`.
    pub fn logits(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(hidden, self.head(), self.precision)
    }

    /// The output head, `[hidden, vocabulary or labels]`.
    fn head(&self) -> Tensor<B, 2> {
        match self.score.as_ref().or(self.lm_head.as_ref()) {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val().transpose(),
        }
    }

    /// Returns the loss of `targets` given `inputs: [batch, length]`, `[1]`: the mean cross-entropy in nats of tokens or
    /// classes, or the mean square of what numbers are missed by.
    pub fn loss(&self, inputs: Tensor<B, 2, Int>, targets: Targets<B>) -> Tensor<B, 1> {
        self.loss_of(self.blocks(inputs), targets)
    }

    /// The same from the output of the last decoder block, `x: [batch * length, hidden]`.
    pub(crate) fn loss_of(&self, x: Tensor<B, 2>, targets: Targets<B>) -> Tensor<B, 1> {
        match targets {
            Targets::Next(next) => {
                let (hidden, next) = (self.model.norm.forward(x), next.flatten(0, 1));
                linear_cross_entropy(hidden, self.head(), next, self.precision)
            }
            Targets::At { positions, ids } => {
                let hidden = self.model.norm.forward(x.select(0, positions));
                linear_cross_entropy(hidden, self.head(), ids, self.precision)
            }
            Targets::Values { positions, values } => {
                let hidden = self.model.norm.forward(x.select(0, positions));
                let found = self.logits(hidden).flatten(0, 1); // [targets]
                (found - values).square().mean()
            }
        }
    }

    /// Returns the [loss](Self::loss), and of a classifier its scores or numbers, `[targets, labels]`.
    pub fn judged(
        &self,
        inputs: Tensor<B, 2, Int>,
        targets: Targets<B>,
    ) -> (Tensor<B, 1>, Option<Tensor<B, 2>>) {
        let x = self.blocks(inputs);
        let positions = match &targets {
            Targets::At { positions, .. } | Targets::Values { positions, .. } => Some(positions),
            Targets::Next(_) => None,
        };
        let scores = positions.filter(|_| self.score.is_some()).map(|positions| {
            let chosen = x.clone().select(0, positions.clone());
            self.logits(self.model.norm.forward(chosen))
        });
        (self.loss_of(x, targets), scores)
    }
}
