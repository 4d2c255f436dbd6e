//! Causal self-attention with rotary positions; several query heads may share one key and value head.

use super::config::LlamaConfig;
use super::llama::Drawn;
use super::rotary::Positions;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use switchlora_core::{Precision, SwitchLoraLinear};

/// The four projections and the product between them.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// `[hidden, heads * head_dim]`.
    pub q_proj: SwitchLoraLinear<B>,
    /// `[hidden, key_value_heads * head_dim]`.
    pub k_proj: SwitchLoraLinear<B>,
    /// `[hidden, key_value_heads * head_dim]`.
    pub v_proj: SwitchLoraLinear<B>,
    /// `[heads * head_dim, hidden]`.
    pub o_proj: SwitchLoraLinear<B>,
    heads: usize,
    key_value_heads: usize,
    head_dim: usize,
    #[module(skip)]
    precision: Precision,
}

impl<B: Backend> Attention<B> {
    pub(super) fn draw(config: &LlamaConfig, drawn: &mut Drawn<B>) -> Self {
        let hidden = config.hidden_size;
        let queries = config.num_attention_heads * config.head_dim();
        let keys = config.num_key_value_heads * config.head_dim();
        Self {
            q_proj: drawn.linear(hidden, queries),
            k_proj: drawn.linear(hidden, keys),
            v_proj: drawn.linear(hidden, keys),
            o_proj: drawn.linear(queries, hidden),
            heads: config.num_attention_heads,
            key_value_heads: config.num_key_value_heads,
            head_dim: config.head_dim(),
            precision: drawn.precision(),
        }
    }

    /// Attends within each of `batch` sequences of `[batch * length, hidden]`.
    pub fn forward(&self, x: Tensor<B, 2>, batch: usize, positions: &Positions<B>) -> Tensor<B, 2> {
        let [tokens, _] = x.dims();
        let (length, head_dim) = (tokens / batch, self.head_dim);
        let split = |x: Tensor<B, 2>, heads| {
            x.reshape([batch, length, heads, head_dim]).swap_dims(1, 2) // [batch, heads, length, head_dim]
        };
        let q = positions.rotate(split(self.q_proj.forward(x.clone()), self.heads));
        let k = positions.rotate(split(self.k_proj.forward(x.clone()), self.key_value_heads));
        let v = split(self.v_proj.forward(x), self.key_value_heads);

        // Query heads that share a key head are stacked along its queries, so that nothing is repeated.
        let shared = self.heads / self.key_value_heads;
        let q = q.reshape([batch, self.key_value_heads, shared * length, head_dim]);
        let scale = 1.0 / (head_dim as f64).sqrt();
        let scores = self.precision.matmul(q * scale, k.transpose()); // [batch, key_value_heads, shared * length, length]
        let scores = scores.reshape([batch, self.heads, length, length]);
        let mask = positions.mask(length).reshape([1, 1, length, length]);
        let mask = mask.expand([batch, self.heads, length, length]);
        let weights = softmax(scores.mask_fill(mask, f32::NEG_INFINITY), 3);
        let weights = weights.reshape([batch, self.key_value_heads, shared * length, length]);
        let mixed = self
            .precision
            .matmul(weights, v)
            .reshape([batch, self.heads, length, head_dim]);
        let mixed = mixed
            .swap_dims(1, 2)
            .reshape([tokens, self.heads * head_dim]);
        self.o_proj.forward(mixed)
    }
}
