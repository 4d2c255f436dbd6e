//! Causal self-attention with rotary positions; several query heads may share one key and value head.

use super::drawn::Drawn;
use super::weight_init::Place;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use switchlora_core::{Precision, SwitchLoraLinear, forward_together};
use switchlora_ops::{AttentionTables, Heads, causal_attention};

/// The four projections around causal attention.
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
    pub(super) fn draw(drawn: &mut Drawn<B>) -> Self {
        let config = drawn.config;
        let hidden = config.hidden_size;
        let queries = config.num_attention_heads * config.head_dim();
        let keys = config.num_key_value_heads * config.head_dim();
        Self {
            q_proj: drawn.linear(hidden, queries, Place::Inside),
            k_proj: drawn.linear(hidden, keys, Place::Inside),
            v_proj: drawn.linear(hidden, keys, Place::Inside),
            o_proj: drawn.linear(queries, hidden, Place::Residual),
            heads: config.num_attention_heads,
            key_value_heads: config.num_key_value_heads,
            head_dim: config.head_dim(),
            precision: drawn.method.precision,
        }
    }

    /// Numbers of heads, and their width.
    pub(super) fn heads(&self) -> Heads {
        Heads {
            queries: self.heads,
            keys: self.key_value_heads,
            head_dim: self.head_dim,
        }
    }

    /// Attends within each sequence of `[batch * length, hidden]`; the tables have `length` positions.
    pub fn forward(&self, x: Tensor<B, 2>, tables: &AttentionTables<B>) -> Tensor<B, 2> {
        let [q, k, v] = forward_together([&self.q_proj, &self.k_proj, &self.v_proj], x);
        let attention = switchlora_ops::Attention {
            q,
            k,
            v,
            tables: tables.clone(),
            heads: self.heads(),
        };
        self.o_proj
            .forward(causal_attention(attention, self.precision))
    }
}
