//! Hugging Face's `config.json`: read with its defaults, written so that `LlamaForCausalLM` loads it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{ConfigProblems, LlamaConfig, LlamaConfigError};

// What Hugging Face's LLaMA takes where a file says nothing.
pub(super) const RMS_NORM_EPS: f64 = 1e-6;
pub(super) const ROPE_THETA: f64 = 10_000.0;
pub(super) const INITIALIZER_RANGE: f64 = 0.02;
const MAX_POSITIONS: usize = 2048;

/// The keys that the shapes of the tensors follow from.
pub(crate) const SIZES: [&str; 7] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "tie_word_embeddings",
];

/// A configuration file is a few kilobytes; more than this is some other file.
pub(super) const LARGEST_FILE: u64 = 1 << 20;

impl LlamaConfig {
    /// Reads a Hugging Face `config.json`; the error names every key that is wrong or not supported.
    ///
    /// Optional, with Hugging Face's defaults: `num_key_value_heads`, `max_position_embeddings` (for which the paper's own files say
    /// `max_sequence_length`), `rms_norm_eps`, `rope_theta`, `initializer_range`, `tie_word_embeddings`. Keys that
    /// are not about the architecture are ignored.
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

    /// The model that a `config.json` describes as far as it can be told, and every key that is wrong or not supported.
    ///
    /// Where no key of [`SIZES`] is among those, the sizes are sound.
    pub(crate) fn examine(map: Map<String, Value>) -> (Self, ConfigProblems) {
        let mut keys = Keys {
            map,
            problems: ConfigProblems::default(),
        };
        keys.only("model_type", json!("llama"));
        keys.only("hidden_act", json!("silu"));
        keys.only("attention_bias", json!(false));
        keys.only("mlp_bias", json!(false));
        keys.only("quantization_config", Value::Null);
        keys.rope_scaling();

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
            rope_theta: keys.rope_theta(),
            initializer_range: keys.number("initializer_range", INITIALIZER_RANGE),
            tie_word_embeddings: keys.flag("tie_word_embeddings", false),
        };
        let Keys { map, mut problems } = keys;
        let other = config
            .problems()
            .0
            .into_iter()
            .filter(|problem| !problems.mention(problem.key));
        let other: Vec<_> = other.collect();
        problems.0.extend(other);
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

    /// The contents of a `config.json` with which Hugging Face's `LlamaForCausalLM` loads the exported model.
    pub fn to_hf_json(&self) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "torch_dtype": "float32",
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "rope_scaling": null,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "max_position_embeddings": self.max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "initializer_range": self.initializer_range,
            "tie_word_embeddings": self.tie_word_embeddings,
        })
    }
}

/// Reads the JSON object in a file that is no larger than a configuration can be.
pub(crate) fn read_json(path: &Path) -> Result<Map<String, Value>, LlamaConfigError> {
    let path = path.to_path_buf();
    let mut text = Vec::new();
    let read =
        File::open(&path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut text));
    match read {
        Err(reason) => Err(LlamaConfigError::Read { path, reason }),
        Ok(bytes) if bytes as u64 > LARGEST_FILE => Err(LlamaConfigError::TooLarge { path }),
        Ok(_) => {
            serde_json::from_slice(&text).map_err(|reason| LlamaConfigError::Json { path, reason })
        }
    }
}

/// The keys of a file, and what is wrong with those looked at so far.
struct Keys {
    map: Map<String, Value>,
    problems: ConfigProblems,
}

impl Keys {
    /// The value, or nothing where the file says nothing or `null`.
    fn get(&self, key: &str) -> Option<Value> {
        self.map.get(key).filter(|value| !value.is_null()).cloned()
    }

    fn only(&mut self, key: &'static str, expected: Value) {
        if let Some(found) = self.get(key).filter(|found| *found != expected) {
            self.problems.add(key, found, expected);
        }
    }

    /// Positions are not stretched: `rope_scaling` is absent or says so itself.
    fn rope_scaling(&mut self) {
        let plain = |scaling: &Value| {
            let kind = scaling.get("rope_type").or(scaling.get("type"));
            kind.is_some_and(|kind| kind == "default")
        };
        if let Some(found) = self.get("rope_scaling").filter(|found| !plain(found)) {
            self.problems.add("rope_scaling", found, Value::Null);
        }
    }

    /// A count; 1 stands for one that cannot be used, so that nothing that follows from it is reported as well.
    fn count(&mut self, key: &'static str, default: Option<usize>) -> usize {
        let found = self.get(key);
        let count = found
            .as_ref()
            .and_then(Value::as_u64)
            .and_then(|count| usize::try_from(count).ok());
        match (count, found, default) {
            (Some(count), _, _) => return count,
            (None, None, Some(default)) => return default,
            (None, None, None) => self.problems.add(key, "missing", "an integer above 0"),
            (None, Some(found), _) => self.problems.add(key, found, "an integer above 0"),
        }
        1
    }

    fn number(&mut self, key: &'static str, default: f64) -> f64 {
        let Some(found) = self.get(key) else {
            return default;
        };
        found.as_f64().unwrap_or_else(|| {
            self.problems.add(key, found, "a number above 0");
            default
        })
    }

    fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(found) = self.get(key) else {
            return default;
        };
        found.as_bool().unwrap_or_else(|| {
            self.problems.add(key, found, "true or false");
            default
        })
    }

    /// `rope_theta`, which transformers 5 writes inside `rope_parameters`.
    fn rope_theta(&mut self) -> f64 {
        let Some(rope) = self.get("rope_parameters") else {
            return self.number("rope_theta", ROPE_THETA);
        };
        let plain = rope.get("rope_type").is_none_or(|kind| kind == "default")
            && rope
                .get("partial_rotary_factor")
                .is_none_or(|share| share.as_f64() == Some(1.0));
        match rope.get("rope_theta").map(Value::as_f64) {
            Some(Some(theta)) if plain => theta,
            None if plain => self.number("rope_theta", ROPE_THETA),
            _ => {
                let expected = r#"{"rope_type":"default","rope_theta":X}"#;
                self.problems.add("rope_parameters", rope, expected);
                ROPE_THETA
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PRESETS;
    use super::*;

    fn from_hf(value: Value) -> Result<LlamaConfig, ConfigProblems> {
        LlamaConfig::from_hf(value.as_object().expect("an object").clone())
    }

    fn keys(problems: &ConfigProblems) -> Vec<&'static str> {
        problems.0.iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn every_preset_is_valid_and_survives_its_config_json() {
        for preset in PRESETS {
            let config = preset.config();
            config.validate().expect(preset.name);
            assert_eq!(from_hf(config.to_hf_json()), Ok(config.clone()));
            let text = serde_json::to_string(&config).expect("serializes");
            assert_eq!(
                serde_json::from_str::<LlamaConfig>(&text).expect("deserializes"),
                config
            );
        }
    }

    #[test]
    fn a_file_that_says_little_gets_hugging_faces_defaults() {
        let little = json!({"vocab_size": 32, "hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 4});
        let config = from_hf(little.clone()).expect("enough");
        assert_eq!(
            (
                config.num_key_value_heads,
                config.max_position_embeddings,
                config.tie_word_embeddings
            ),
            (4, 2048, false)
        );
        assert_eq!(
            (
                config.rms_norm_eps,
                config.rope_theta,
                config.initializer_range
            ),
            (1e-6, 1e4, 0.02)
        );
        let more = json!({"max_sequence_length": 77, "head_dim": 4, "rope_parameters": {"rope_type": "default", "rope_theta": 500}});
        let mut both = little;
        both.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let config = from_hf(both).expect("enough");
        assert_eq!(
            (config.max_position_embeddings, config.rope_theta),
            (77, 500.0)
        );
    }

    #[test]
    fn one_error_names_every_key_that_is_not_supported() {
        let problems = from_hf(json!({
            "model_type": "mistral", "hidden_act": "gelu", "attention_bias": true, "mlp_bias": true, "rope_scaling": {"factor": 2},
            "vocab_size": -1, "hidden_size": 64, "intermediate_size": 0, "num_attention_heads": 4, "head_dim": 32,
            "tie_word_embeddings": "no", "rms_norm_eps": 0,
        }))
        .expect_err("nothing here is right");
        assert_eq!(
            keys(&problems),
            [
                "model_type",
                "hidden_act",
                "attention_bias",
                "mlp_bias",
                "rope_scaling",
                "vocab_size",
                "num_hidden_layers",
                "tie_word_embeddings",
                "intermediate_size",
                "rms_norm_eps",
                "head_dim",
            ]
        );
        let text = problems.to_string();
        assert!(
            text.starts_with("`model_type` is \"mistral\" (expected \"llama\"), `hidden_act`"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "`head_dim` is 32 (expected 16, which is hidden_size / num_attention_heads)"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_value_is_not_reported_again_through_what_follows_from_it() {
        let mut file = PRESETS[0].config().to_hf_json();
        file["hidden_size"] = json!("wide");
        file["num_attention_heads"] = json!(null);
        file["head_dim"] = json!(99);
        assert_eq!(
            keys(&from_hf(file).expect_err("two keys are wrong")),
            ["num_attention_heads", "hidden_size"]
        );
    }

    #[test]
    fn files_are_read_and_bad_ones_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (good, bad, list, large) = (
            folder.path().join("my model"),
            folder.path().join("bad.json"),
            folder.path().join("list"),
            folder.path().join("large"),
        );
        let tiny = PRESETS[0].config();
        std::fs::write(&good, tiny.to_hf_json().to_string()).expect("written");
        std::fs::write(&list, "[1]").expect("written");
        std::fs::write(&large, vec![b' '; LARGEST_FILE as usize + 1]).expect("written");
        let resolve = |path: &Path| LlamaConfig::resolve(path.to_str().expect("UTF-8"));
        assert_eq!(resolve(&good).expect("a model"), tiny);
        assert!(matches!(resolve(&bad), Err(LlamaConfigError::Read { path, .. }) if path == bad));
        assert!(matches!(resolve(&list), Err(LlamaConfigError::Json { .. })));
        assert!(matches!(
            resolve(&large),
            Err(LlamaConfigError::TooLarge { .. })
        ));
        std::fs::write(&bad, r#"{"model_type": "gpt2"}"#).expect("written");
        let text = resolve(&bad).expect_err("not LLaMA").to_string();
        assert!(
            text.contains("bad.json cannot be used: `model_type` is \"gpt2\" (expected \"llama\")"),
            "{text}"
        );
    }
}
