//! Configurations read from and written to `config.json`.

use super::super::error::LARGEST_FILE;
use super::*;
use crate::model::PRESETS;

fn from_hf(value: Value) -> Result<LlamaConfig, ConfigProblems> {
    LlamaConfig::from_hf(value.as_object().expect("an object").clone())
}

fn keys(problems: &ConfigProblems) -> Vec<&'static str> {
    problems.0.iter().map(|problem| problem.key).collect()
}

#[test]
fn every_preset_is_valid_and_survives_its_config_json() {
    for preset in PRESETS {
        let config = preset.config;
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
    let mut file = LlamaConfig::preset("tiny").expect("a preset").to_hf_json();
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
    let tiny = LlamaConfig::preset("tiny").expect("a preset");
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
