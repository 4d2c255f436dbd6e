//! The size of a LLaMA model, in Hugging Face's names: [`presets`], [`hf`] files, what a valid one is, what is in it.
//!
//! ```
//! use switchlora_train::model::config::LlamaConfig;
//!
//! let config = LlamaConfig::resolve("1b")?;
//! assert_eq!((config.head_dim(), config.num_parameters()), (64, 1_339_492_352));
//! # Ok::<(), switchlora_train::model::config::LlamaConfigError>(())
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use switchlora_core::cost::{LinearShape, ModelShape};

pub mod error;
pub mod hf;
pub mod presets;

pub use error::{ConfigProblem, ConfigProblems, LlamaConfigError};
pub use presets::{PRESETS, Preset};

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
}

/// An adapted linear layer and where Hugging Face keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLinear {
    /// Module path without `.weight`, as in `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// Inputs and outputs.
    pub shape: LinearShape,
}

// Above every model there is, and low enough that no parameter or byte count leaves 64 bits.
const LARGEST_WIDTH: usize = 1 << 20;
const MOST_LAYERS: usize = 1 << 12;
const MOST_TOKENS: usize = 1 << 24;

impl LlamaConfig {
    /// What `--model` means: a preset, else a folder with a `config.json`, else a file that exists or whose name ends in
    /// `.json`.
    pub fn resolve(model: &str) -> Result<Self, LlamaConfigError> {
        if let Some(config) = Self::preset(model) {
            return Ok(config);
        }
        let path = Path::new(model);
        if path.is_dir() {
            return Self::from_file(path.join("config.json"));
        }
        if path.is_file()
            || path
                .extension()
                .is_some_and(|extension| extension == "json")
        {
            return Self::from_file(path);
        }
        let hint = presets::closest_preset(model).map(|name| format!("; did you mean `{name}`?"));
        Err(LlamaConfigError::UnknownModel {
            name: model.to_owned(),
            hint: hint.unwrap_or_default(),
        })
    }

    /// Whether such a model can be built; the error names every value that is wrong.
    pub fn validate(&self) -> Result<(), LlamaConfigError> {
        let problems = self.problems();
        if problems.0.is_empty() {
            Ok(())
        } else {
            Err(LlamaConfigError::Invalid { problems })
        }
    }

    fn problems(&self) -> ConfigProblems {
        let mut problems = ConfigProblems::default();
        for (key, found, most) in [
            ("vocab_size", self.vocab_size, MOST_TOKENS),
            ("hidden_size", self.hidden_size, LARGEST_WIDTH),
            ("intermediate_size", self.intermediate_size, LARGEST_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            (
                "num_attention_heads",
                self.num_attention_heads,
                LARGEST_WIDTH,
            ),
            (
                "num_key_value_heads",
                self.num_key_value_heads,
                LARGEST_WIDTH,
            ),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                MOST_TOKENS,
            ),
        ] {
            if !(1..=most).contains(&found) {
                problems.add(key, found, format_args!("1 to {most}"));
            }
        }
        for (key, found) in [
            ("rms_norm_eps", self.rms_norm_eps),
            ("rope_theta", self.rope_theta),
            ("initializer_range", self.initializer_range),
        ] {
            if !(found.is_finite() && found > 0.0) {
                problems.add(key, found, "a number above 0");
            }
        }
        let (hidden, heads, kv_heads) = (
            self.hidden_size,
            self.num_attention_heads,
            self.num_key_value_heads,
        );
        let pairs = heads.saturating_mul(2); // rotary embeddings turn a head's numbers in pairs
        if pairs != 0 && hidden % pairs != 0 {
            problems.add(
                "hidden_size",
                hidden,
                format_args!("a multiple of {pairs}, twice num_attention_heads"),
            );
        }
        if kv_heads != 0 && heads % kv_heads != 0 {
            problems.add(
                "num_attention_heads",
                heads,
                format_args!("a multiple of num_key_value_heads, {kv_heads}"),
            );
        }
        problems
    }

    /// Width of one head. Of a valid configuration, as is everything below.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The layers that get adapters: of each decoder layer q, k, v, o, gate, up, down.
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

    /// Every tensor of the model without adapters by Hugging Face's names, with its shape there.
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
        if !self.tie_word_embeddings {
            tensors.insert("lm_head.weight".to_owned(), matrix());
        }
        tensors
    }

    /// Parameters outside [`linears`](Self::linears): embeddings, head unless tied, two norms a layer and the last one.
    pub fn other_parameters(&self) -> u64 {
        let matrices = if self.tie_word_embeddings { 1 } else { 2 };
        let norms = 2 * self.num_hidden_layers as u64 + 1;
        self.hidden_size as u64 * (matrices * self.vocab_size as u64 + norms)
    }

    /// Parameters of the model without adapters.
    pub fn num_parameters(&self) -> u64 {
        let size =
            |linear: &NamedLinear| linear.shape.d_input as u64 * linear.shape.d_output as u64;
        self.linears().iter().map(size).sum::<u64>() + self.other_parameters()
    }

    /// What the closed forms of [`switchlora_core::cost`] need.
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

    fn keys(problems: &ConfigProblems) -> Vec<&'static str> {
        problems.0.iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn linears_come_in_the_order_q_k_v_o_gate_up_down_with_narrow_keys_and_values() {
        let config = LlamaConfig {
            num_key_value_heads: 2,
            tie_word_embeddings: true,
            ..PRESETS[0].config()
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

    #[test]
    fn contradictory_and_absurd_values_are_refused() {
        let good = LlamaConfig::preset("tiny").expect("a preset");
        let refused = |config: LlamaConfig| keys(&config.problems());
        assert_eq!(
            refused(LlamaConfig {
                hidden_size: 193,
                ..good.clone()
            }),
            ["hidden_size"]
        );
        assert_eq!(
            refused(LlamaConfig {
                hidden_size: 12,
                ..good.clone()
            }),
            ["hidden_size"]
        ); // heads of 3 cannot be rotated
        assert_eq!(
            refused(LlamaConfig {
                num_key_value_heads: 3,
                ..good.clone()
            }),
            ["num_attention_heads"]
        );
        assert_eq!(
            refused(LlamaConfig {
                num_attention_heads: 0,
                ..good.clone()
            }),
            ["num_attention_heads"]
        );
        assert_eq!(
            refused(LlamaConfig {
                num_hidden_layers: usize::MAX,
                ..good.clone()
            }),
            ["num_hidden_layers"]
        );
        assert_eq!(
            refused(LlamaConfig {
                rope_theta: f64::NAN,
                ..good
            }),
            ["rope_theta"]
        );
    }

    #[test]
    fn the_largest_valid_model_at_the_largest_rank_still_has_a_byte_count() {
        let largest = LlamaConfig {
            vocab_size: MOST_TOKENS,
            hidden_size: LARGEST_WIDTH,
            intermediate_size: LARGEST_WIDTH,
            num_hidden_layers: MOST_LAYERS,
            ..PRESETS[0].config()
        };
        let largest = LlamaConfig {
            num_attention_heads: 1024,
            num_key_value_heads: 1024,
            ..largest
        };
        largest.validate().expect("within the limits");
        for method in switchlora_core::cost::CostMethod::ALL {
            assert!(method.cost(&largest.shape(), LARGEST_WIDTH).state_bytes() > 1 << 58);
        }
    }
}
