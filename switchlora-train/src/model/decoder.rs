//! Decoder block: attention and SwiGLU, each after a norm and inside a residual connection.

use super::attention::Attention;
use super::drawn::Drawn;
use super::norm::RmsNorm;
use super::weight_init::Place;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use switchlora_core::{SwitchLoraLinear, forward_together};
use switchlora_ops::{AttentionTables, swiglu};

/// `down(silu(gate(x)) * up(x))`.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// `[hidden, intermediate]`.
    pub gate_proj: SwitchLoraLinear<B>,
    /// `[hidden, intermediate]`.
    pub up_proj: SwitchLoraLinear<B>,
    /// `[intermediate, hidden]`.
    pub down_proj: SwitchLoraLinear<B>,
}

/// A decoder block.
#[derive(Module, Debug)]
pub struct DecoderLayer<B: Backend> {
    /// Norm before attention.
    pub input_layernorm: RmsNorm<B>,
    /// Causal self-attention.
    pub self_attn: Attention<B>,
    /// Norm before the MLP.
    pub post_attention_layernorm: RmsNorm<B>,
    /// SwiGLU MLP.
    pub mlp: Mlp<B>,
}

impl<B: Backend> Mlp<B> {
    /// Applies the MLP to `[tokens, hidden]`.
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let [gate, up] = forward_together([&self.gate_proj, &self.up_proj], x); // [tokens, intermediate]
        self.down_proj.forward(swiglu(gate, up))
    }
}

impl<B: Backend> DecoderLayer<B> {
    pub(super) fn draw(drawn: &mut Drawn<B>) -> Self {
        let (hidden, intermediate) = (drawn.config.hidden_size, drawn.config.intermediate_size);
        Self {
            input_layernorm: drawn.norm(),
            self_attn: Attention::draw(drawn),
            post_attention_layernorm: drawn.norm(),
            mlp: Mlp {
                gate_proj: drawn.linear(hidden, intermediate, Place::Inside),
                up_proj: drawn.linear(hidden, intermediate, Place::Inside),
                down_proj: drawn.linear(intermediate, hidden, Place::Residual),
            },
        }
    }

    /// Applies the block to `[batch * length, hidden]`; the tables have `length` positions.
    pub fn forward(&self, x: Tensor<B, 2>, tables: &AttentionTables<B>) -> Tensor<B, 2> {
        let normed = self.input_layernorm.forward(x.clone());
        // The new tensor first: it is added to in place.
        let x = self.self_attn.forward(normed, tables) + x;
        let normed = self.post_attention_layernorm.forward(x.clone());
        self.mlp.forward(normed) + x
    }
}
