//! Hugging Face's `config.json`: read with Hugging Face's defaults, written so that `LlamaForCausalLM` loads it.

use super::architecture::{INITIALIZER_RANGE, LlamaConfig, RMS_NORM_EPS};
use super::error::{ConfigProblems, LARGEST_FILE, LlamaConfigError};
use super::keys::Keys;
use crate::lenient_json::{object, read_at_most};
use crate::run_directory;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Hugging Face's default number of positions.
const MAX_POSITIONS: usize = 2048;

/// File name of the configuration of an adapter of a model.
pub(crate) const ADAPTER: &str = "adapter_config.json";

/// The keys that determine the shapes of the tensors.
pub(crate) const SIZES: [&str; 7] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "tie_word_embeddings",
];

impl LlamaConfig {
    /// Reads a Hugging Face `config.json`.
    ///
    /// Optional, with Hugging Face's defaults: `num_key_value_heads`, `max_position_embeddings` (`max_sequence_length` in the
    /// paper's own files), `rms_norm_eps`, `rope_theta`, `initializer_range`, `tie_word_embeddings`. Keys that are not about
    /// the architecture are ignored.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or some of its keys are wrong or not supported; the error names all of them.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, LlamaConfigError> {
        let path = path.as_ref();
        let map = read_json(path)?;
        Self::from_hf(map).map_err(|problems| LlamaConfigError::File {
            path: path.to_path_buf(),
            problems,
        })
    }

    fn from_hf(map: Map<String, Value>) -> Result<Self, ConfigProblems> {
        let (config, problems) = Self::examine(map);
        match problems.0.is_empty() {
            true => Ok(config),
            false => Err(problems),
        }
    }

    /// Returns the model that a `config.json` describes, as far as it is valid, and every key that is wrong or not supported.
    ///
    /// The sizes are valid if no key of [`SIZES`] is among them.
    pub(crate) fn examine(map: Map<String, Value>) -> (Self, ConfigProblems) {
        let mut keys = Keys {
            map,
            problems: ConfigProblems::default(),
        };
        keys.only("model_type", json!("llama"));
        keys.activation();
        keys.only("attention_bias", json!(false));
        keys.only("mlp_bias", json!(false));
        keys.only("quantization_config", Value::Null);

        let rope_theta = keys.rope();
        let num_attention_heads = keys.count("num_attention_heads", None);
        let sequence = keys.count("max_sequence_length", Some(MAX_POSITIONS));
        let config = Self {
            vocab_size: keys.count("vocab_size", None),
            hidden_size: keys.count("hidden_size", None),
            intermediate_size: keys.count("intermediate_size", None),
            num_hidden_layers: keys.count("num_hidden_layers", None),
            num_attention_heads,
            num_key_value_heads: keys.count("num_key_value_heads", Some(num_attention_heads)),
            max_position_embeddings: keys.count("max_position_embeddings", Some(sequence)),
            rms_norm_eps: keys.number("rms_norm_eps", RMS_NORM_EPS),
            rope_theta,
            initializer_range: keys.number("initializer_range", INITIALIZER_RANGE),
            tie_word_embeddings: keys.flag("tie_word_embeddings", false),
            classifier: keys.classifier(),
        };
        let Keys { map, mut problems } = keys;
        let other = config
            .problems()
            .0
            .into_iter()
            .filter(|problem| !problems.mention(problem.key));
        let other: Vec<_> = other.collect();
        problems.0.extend(other);
        let pad = config.classifier.as_ref().map_or(0, |one| one.pad as usize);
        if pad >= config.vocab_size && !problems.mention("vocab_size") {
            let expected = format_args!("an id below vocab_size, {}", config.vocab_size);
            problems.add("pad_token_id", pad, expected);
        }
        if !(problems.mention("hidden_size") || problems.mention("num_attention_heads")) {
            let (found, expected) = (
                map.get("head_dim").unwrap_or(&Value::Null),
                config.head_dim(),
            );
            if !found.is_null() && found.as_u64() != Some(expected as u64) {
                problems.add(
                    "head_dim",
                    found,
                    format_args!("{expected}, which is hidden_size / num_attention_heads"),
                );
            }
        }
        (config, problems)
    }

    /// Returns a `config.json` with which Hugging Face's `LlamaForCausalLM`, or `LlamaForSequenceClassification`, loads the
    /// exported model.
    pub fn to_hf_json(&self) -> Value {
        let language = Self {
            classifier: None,
            ..self.clone()
        };
        let mut json = json!(language);
        match &self.classifier {
            None => json["architectures"] = json!(["LlamaForCausalLM"]),
            Some(classifier) => classifier.write(&mut json),
        }
        json["model_type"] = json!("llama");
        json["torch_dtype"] = json!("float32");
        json["hidden_act"] = json!("silu");
        json["attention_bias"] = json!(false);
        json["mlp_bias"] = json!(false);
        json["rope_scaling"] = Value::Null;
        json
    }
}

/// Reads a JSON object from a file of at most [`LARGEST_FILE`] bytes.
///
/// # Errors
///
/// The file cannot be read, is larger, or is not a JSON object.
pub(crate) fn read_json(path: &Path) -> Result<Map<String, Value>, LlamaConfigError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if !path.exists() && folder.join(ADAPTER).is_file() {
        let path = folder.to_path_buf();
        return Err(LlamaConfigError::Adapter { path });
    }
    if !path.exists() && folder.join(run_directory::CONFIG).is_file() {
        let path = folder.to_path_buf();
        return Err(LlamaConfigError::Run { path });
    }
    let path = path.to_path_buf();
    match read_at_most(&path, LARGEST_FILE) {
        Err(reason) => Err(LlamaConfigError::Read { path, reason }),
        Ok(None) => Err(LlamaConfigError::TooLarge { path }),
        Ok(Some(text)) => object(&text).map_err(|reason| LlamaConfigError::Json { path, reason }),
    }
}

#[cfg(test)]
mod tests;
