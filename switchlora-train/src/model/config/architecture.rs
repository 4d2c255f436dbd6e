//! The sizes of a LLaMA model, and the tensors and parameters that follow from them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use switchlora_core::cost::{LinearShape, ModelShape};

// Hugging Face's defaults for keys that a file leaves out.
pub(super) const RMS_NORM_EPS: f64 = 1e-6;
pub(super) const ROPE_THETA: f64 = 10_000.0;
pub(super) const INITIALIZER_RANGE: f64 = 0.02;

/// The architecture of a LLaMA model, in the names of Hugging Face's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; each serves `num_attention_heads / num_key_value_heads` query heads.
    pub num_key_value_heads: usize,
    /// The longest sequence.
    pub max_position_embeddings: usize,
    /// Added to the mean square inside RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Standard deviation of the initial embeddings and weights.
    pub initializer_range: f64,
    /// Whether the output head is the embedding matrix.
    pub tie_word_embeddings: bool,
    /// The labels of a model that classifies texts; `None` for one that predicts the next token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Classifier>,
}

/// What a model says about a text after its last token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classifier {
    /// Names of the classes, in the order of the scores; empty for a number.
    pub labels: Vec<String>,
    /// The id that fills rows of a batch, and is no text's last token.
    pub pad: u32,
}

impl Classifier {
    /// Whether it says a number.
    pub fn is_regression(&self) -> bool {
        self.labels.is_empty()
    }

    /// Numbers that the head computes.
    pub fn outputs(&self) -> usize {
        self.labels.len().max(1)
    }
}

/// A linear layer that gets an adapter, and its name in Hugging Face's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLinear {
    /// Module path without `.weight`, as in `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// Inputs and outputs.
    pub shape: LinearShape,
}

impl LlamaConfig {
    /// Width of a head. Like every method below, of a [valid](Self::validate) configuration.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Rank of a low-rank method unless one is given: a quarter of the hidden size, and at most half of the shorter side of
    /// the narrowest projection, which has no vectors to switch at a rank of that side.
    pub fn default_rank(&self) -> usize {
        let narrowest = self.shape().narrowest().map(LinearShape::shorter_side);
        let most = narrowest.unwrap_or(self.hidden_size) / 2;
        (self.hidden_size / 4).min(most).max(1)
    }

    /// The layers that get adapters: q, k, v, o, gate, up and down of each decoder layer.
    pub fn linears(&self) -> Vec<NamedLinear> {
        let (hidden, mlp) = (self.hidden_size, self.intermediate_size);
        let kv = self.head_dim() * self.num_key_value_heads;
        let layer = [
            ("self_attn.q_proj", hidden, hidden),
            ("self_attn.k_proj", hidden, kv),
            ("self_attn.v_proj", hidden, kv),
            ("self_attn.o_proj", hidden, hidden),
            ("mlp.gate_proj", hidden, mlp),
            ("mlp.up_proj", hidden, mlp),
            ("mlp.down_proj", mlp, hidden),
        ];
        (0..self.num_hidden_layers)
            .flat_map(|index| {
                layer.map(|(name, d_input, d_output)| NamedLinear {
                    name: format!("model.layers.{index}.{name}"),
                    shape: LinearShape { d_input, d_output },
                })
            })
            .collect()
    }

    /// Names and shapes of all tensors of the model without adapters, as in Hugging Face's files.
    pub fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        let (hidden, vocabulary) = (self.hidden_size, self.vocab_size);
        let linears = self
            .linears()
            .into_iter()
            .map(|NamedLinear { name, shape }| {
                let LinearShape { d_input, d_output } = shape;
                (format!("{name}.weight"), vec![d_output, d_input])
            });
        let norms = (0..self.num_hidden_layers).flat_map(|index| {
            ["input_layernorm", "post_attention_layernorm"]
                .map(|norm| (format!("model.layers.{index}.{norm}.weight"), vec![hidden]))
        });
        let mut tensors: BTreeMap<_, _> = linears.chain(norms).collect();
        let matrix = || vec![vocabulary, hidden];
        tensors.insert("model.embed_tokens.weight".to_owned(), matrix());
        tensors.insert("model.norm.weight".to_owned(), vec![hidden]);
        if let Some(classifier) = &self.classifier {
            tensors.insert(
                "score.weight".to_owned(),
                vec![classifier.outputs(), hidden],
            );
        } else if !self.tie_word_embeddings {
            tensors.insert("lm_head.weight".to_owned(), matrix());
        }
        tensors
    }

    /// Parameters outside [`linears`](Self::linears): embeddings, the head unless tied, two norms per layer and the last norm.
    pub fn other_parameters(&self) -> u64 {
        let vocabulary = self.vocab_size as u64;
        let head = match &self.classifier {
            Some(classifier) => classifier.outputs() as u64,
            None if self.tie_word_embeddings => 0,
            None => vocabulary,
        };
        let norms = 2 * self.num_hidden_layers as u64 + 1;
        self.hidden_size as u64 * (vocabulary + head + norms)
    }

    /// Parameters of the model without adapters.
    pub fn num_parameters(&self) -> u64 {
        let size =
            |linear: &NamedLinear| linear.shape.d_input as u64 * linear.shape.d_output as u64;
        self.linears().iter().map(size).sum::<u64>() + self.other_parameters()
    }

    /// The sizes that the closed forms of [`switchlora_core::cost`] need.
    pub fn shape(&self) -> ModelShape {
        ModelShape {
            linears: self
                .linears()
                .into_iter()
                .map(|linear| linear.shape)
                .collect(),
            other_parameters: self.other_parameters(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linears_come_in_the_order_q_k_v_o_gate_up_down_with_narrow_keys_and_values() {
        let config = LlamaConfig {
            num_key_value_heads: 2,
            tie_word_embeddings: true,
            ..LlamaConfig::preset("tiny").expect("a preset")
        };
        let linears = config.linears();
        let rows: Vec<_> = linears
            .iter()
            .map(|l| (l.name.as_str(), l.shape.d_input, l.shape.d_output))
            .collect();
        assert_eq!(rows.len(), 28);
        assert_eq!(
            rows[7..14],
            [
                ("model.layers.1.self_attn.q_proj", 128, 128),
                ("model.layers.1.self_attn.k_proj", 128, 64),
                ("model.layers.1.self_attn.v_proj", 128, 64),
                ("model.layers.1.self_attn.o_proj", 128, 128),
                ("model.layers.1.mlp.gate_proj", 128, 352),
                ("model.layers.1.mlp.up_proj", 128, 352),
                ("model.layers.1.mlp.down_proj", 352, 128),
            ]
        );
        assert_eq!(config.other_parameters(), 128 * (4096 + 9));
    }
}
