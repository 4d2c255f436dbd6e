//! A small GPT-2 made of Burn's own modules. Nothing here knows of SwitchLoRA.

use burn::nn::attention::*;
use burn::nn::*;
use burn::prelude::*;

/// Longest text that the model sees, in bytes.
pub const CONTEXT: usize = 64;
const WIDTH: usize = 64;

/// Attention and a feed-forward network, each with its norm.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    norms: [LayerNorm<B>; 2],
    attention: MultiHeadAttention<B>,
    up: Linear<B>,
    down: Linear<B>,
}

/// A language model of bytes. Its output layer is the embedding, as in GPT-2.
#[derive(Module, Debug)]
pub struct Gpt2<B: Backend> {
    bytes: Embedding<B>,
    positions: Embedding<B>,
    blocks: Vec<Block<B>>,
    norm: LayerNorm<B>,
}

impl<B: Backend> Gpt2<B> {
    /// A new model of two blocks.
    pub fn new(device: &B::Device) -> Self {
        // Not GPT-2's 0.02: with it, this narrow model has learned nothing but frequencies after 120 updates.
        let (mean, std) = (0.0, 0.1);
        let normal = Initializer::Normal { mean, std };
        let embedding = |n| EmbeddingConfig::new(n, WIDTH).with_initializer(normal.clone());
        let norm = || LayerNormConfig::new(WIDTH).init(device);
        let attention = MultiHeadAttentionConfig::new(WIDTH, 4).with_dropout(0.0);
        let block = |_| Block {
            norms: [norm(), norm()],
            attention: attention.init(device),
            up: LinearConfig::new(WIDTH, 4 * WIDTH).init(device),
            down: LinearConfig::new(4 * WIDTH, WIDTH).init(device),
        };
        Self {
            bytes: embedding(256).init(device),
            positions: embedding(CONTEXT).init(device),
            blocks: (0..2).map(block).collect(),
            norm: norm(),
        }
    }

    /// The logits of the byte after each byte: `[batch, length]` to `[batch, length, 256]`.
    pub fn forward(&self, bytes: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        let ([batch, length], device) = (bytes.dims(), &bytes.device());
        let positions = Tensor::arange(0..length as i64, device).unsqueeze(); // [1, length]
        let mut x = self.bytes.forward(bytes) + self.positions.forward(positions);
        let mask = generate_autoregressive_mask(batch, length, device);
        for block in &self.blocks {
            let input = MhaInput::self_attn(block.norms[0].forward(x.clone()));
            let attended = block.attention.forward(input.mask_attn(mask.clone()));
            x = x + attended.context;
            let hidden = block.up.forward(block.norms[1].forward(x.clone()));
            x = x + block.down.forward(Gelu::new().forward(hidden));
        }
        let output = self.bytes.weight.val().transpose().unsqueeze(); // [1, WIDTH, 256]
        self.norm.forward(x).matmul(output)
    }
}
