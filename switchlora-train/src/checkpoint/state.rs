//! Everything of a checkpoint that is not a tensor.

use crate::data::TokenizerRecord;
use crate::experiment::Experiment;
use crate::model::LlamaConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use switchlora_core::{FactorInit, LayerState, SwitchLoraConfig};

/// Version of the format.
pub const FORMAT: u32 = 2;

/// The content of `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the format.
    pub format: u32,
    /// Updates done.
    pub step: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Micro-batches trained on: the position in the data.
    pub batches: u64,
    /// Updates skipped because their loss or gradient norm was not finite.
    pub skipped: u64,
    /// Which of the last hundred updates were skipped.
    pub recent_skips: Vec<u64>,
    /// The resolved experiment.
    pub experiment: Experiment,
    /// The model.
    pub model: LlamaConfig,
    /// The method.
    pub method: SwitchLoraConfig,
    /// Initialization of the factors.
    pub factors: FactorInit,
    /// SHA-256 of the tokenizer, see [`Tokenizer::sha256`](crate::data::Tokenizer::sha256).
    pub tokenizer_sha256: String,
    /// The ids around each document, and the files beside the tokenizer. Earlier programs did not record them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerRecord>,
    /// SHA-256 of the training tokens and of the validation tokens.
    pub data_sha256: String,
    /// The best evaluation so far.
    pub best: Option<Evaluation>,
    /// The optimizer's state on the host.
    pub optimizer: OptimizerState,
}

/// An evaluation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Updates done before it.
    pub step: u64,
    /// Mean cross-entropy, in nats a token.
    pub loss: f64,
    /// The mean of the metrics of a classifier: the larger the better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

impl Evaluation {
    /// Whether this is better than `other`: a larger score, a score rather than none, and without scores a smaller loss. One
    /// that is no number is none, as it is when it is read again: JSON has no such numbers.
    pub fn is_better_than(&self, other: &Self) -> bool {
        let score = |of: &Self| of.score.filter(|score| !score.is_nan());
        match (score(self), score(other)) {
            (Some(score), Some(other)) => score > other,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => self.loss < other.loss,
        }
    }
}

/// The optimizer's state on the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptimizerState {
    /// Updates done without those that were skipped: the position of the switch schedule.
    pub updates: u64,
    /// Step counts by parameter.
    pub counts: BTreeMap<String, Vec<u32>>,
    /// Slots, walks and freezes by layer, in the order of the walk.
    pub layers: Vec<(String, LayerState)>,
    /// GaLore projections that could not be computed so far.
    #[serde(default)]
    pub failed_projections: u64,
    /// The scale `s` of the factors that the optimizer holds, by layer, in the order of the walk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<(String, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_larger_score_is_better_and_without_scores_a_smaller_loss() {
        let of = |loss, score| Evaluation {
            step: 1,
            loss,
            score,
        };
        assert!(of(2.0, Some(0.5)).is_better_than(&of(1.0, Some(0.4))));
        assert!(!of(1.0, Some(0.4)).is_better_than(&of(2.0, Some(0.4))));
        assert!(of(1.0, None).is_better_than(&of(2.0, None)));
        // A correlation with a constant is no number.
        let nan = Some(f64::NAN);
        assert!(of(2.0, Some(-0.1)).is_better_than(&of(1.0, nan)));
        assert!(!of(1.0, nan).is_better_than(&of(2.0, Some(-0.1))));
        assert!(of(1.0, nan).is_better_than(&of(2.0, nan)));
        // What is read again decides as what was written.
        for (one, other) in [(nan, Some(0.2)), (Some(0.2), nan), (nan, nan)] {
            let (one, other) = (of(1.0, one), of(2.0, other));
            let read = |of: Evaluation| -> Evaluation {
                serde_json::from_str(&serde_json::to_string(&of).unwrap()).unwrap()
            };
            let (again, others) = (read(one), read(other));
            assert_eq!(again.is_better_than(&others), one.is_better_than(&other));
        }
    }

    /// The `state.json` of a run as earlier programs wrote it, with fewer and shorter lists and less space.
    const WRITTEN: &str = r#"{
"format": 2,
"step": 30,
"tokens": 30720,
"batches": 30,
"skipped": 0,
"recent_skips": [],
"experiment": {"method": "switchlora", "model": "tiny", "rank": 32, "plain": false, "steps": 60, "batch_size": 8,
"accumulation": 1, "sequence_length": 128, "lr": 0.01, "projection_lr": 0.01, "init": "range",
"seed": 0, "data": [], "validation": [], "weights": [],
"field": "text", "tokenizer": null, "backend": "flex", "device": 0, "precision": "f32", "frozen": "f32", "reduce": "f32", "moments": "whole",
"recompute": "nothing",
"eval_every": 20, "eval_sequences": 128, "checkpoint_every": 30, "keep": 5, "clip": 1.0, "warm_start": null,
"warm_start_lr": null, "schedule": {"decay": "cosine", "warmup": 3, "minimum": 0.1}, "switch": {"interval":
40.0, "ratio": 0.1, "fixed": false, "freeze": 5, "selection": "contiguous", "sides": "both", "reset_moments":
true, "reset_counts": true, "keep_second_moments": false, "warmup": 0, "candidates":
"drawn", "orthogonal": false, "init": "switch_lora", "zero_weight": false, "pools": "device", "pool_precision":
"f32", "alpha": 1.0},
"relora": {"cycle": null, "restart_warmup": null, "reset": "random", "keep": 0.001, "reset_counts": false,
"alpha": 32.0}, "galore": {"gap": 200, "scale": 0.25, "bias_correction": "rate", "epsilon": 1e-6}, "muon":
{"momentum": 0.95, "nesterov": true, "iterations": 5}, "adamw":
{"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0, "decay_matrices_only": false}, "task": null},
"model": {"vocab_size": 4096, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4,
"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 256, "rms_norm_eps": 1e-6,
"rope_theta": 10000.0, "initializer_range": 0.02, "tie_word_embeddings": false},
"method": {"rank": 32, "alpha": 1.0, "schedule": {"kind": "decaying", "interval": 40.0, "ratio": 0.1, "total":
60}, "freeze": 5, "selection": "contiguous", "sides": "both", "reset_moments": true, "reset_counts": true,
"keep_second_moments": false, "warmup": 0, "candidates": "drawn", "orthogonal": null, "factors": "switch_lora",
"zero_weight": false, "pools": "device", "pool_precision": "f32", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8,
"weight_decay": 0.0, "decay_matrices_only": false, "seed": 0, "precision": "f32", "frozen": "f32"},
"factors": "switch_lora",
"tokenizer_sha256": "cf9b70a975a39efd6c90a9072e6d8fa45e032201216474c1a6f440005eca6eb4",
"data_sha256":
"3016293d96f70e5ea85d577317dabeda1b856dd6d2184949ab28121d0a3260eb 37a18cb4f910f6069a73111549a3c432",
"best": null,
"optimizer": {
"updates": 30,
"counts": {"lm_head.weight": [30], "model.layers.0.mlp.down_proj.lora_A": [30, 30]},
"layers": [["model.layers.0.self_attn.q_proj", {"a": {"live": [0, 1], "spare": [96, 97], "frozen": [0, 0],
"row": 2, "position": 2}, "b": {"live": [112, 113], "spare": [96, 97], "frozen": [0, 0], "row": 18, "position":
2}}]],
"failed_projections": 0
}
}"#;

    /// Removes the space outside of strings.
    fn without_space(text: &str) -> String {
        let mut inside = false;
        let kept = text.chars().filter(|&c| {
            inside ^= c == '"';
            inside || !c.is_whitespace()
        });
        kept.collect()
    }

    #[test]
    fn a_state_keeps_its_keys_their_order_and_its_values() {
        let state: State = serde_json::from_str(WRITTEN).unwrap();
        assert_eq!(state.format, FORMAT);
        let written = serde_json::to_string(&state).unwrap();
        assert_eq!(without_space(&written), without_space(WRITTEN));
    }

    #[test]
    fn a_state_without_a_key_is_refused_but_for_those_that_came_later() {
        let whole: Value = serde_json::from_str(WRITTEN).unwrap();
        let reads = |value: &Value| serde_json::from_value::<State>(value.clone()).is_ok();
        for key in whole.as_object().unwrap().keys() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(key);
            // An option may be missing.
            assert_eq!(reads(&without), key == "best", "{key}");
        }
        let mut older = whole.clone();
        older["optimizer"]
            .as_object_mut()
            .unwrap()
            .remove("failed_projections");
        let later = [
            (
                "/experiment",
                &[
                    "plain",
                    "projection_lr",
                    "init",
                    "muon",
                    "moments",
                    "recompute",
                    "task",
                ][..],
            ),
            (
                "/experiment/switch",
                &["keep_second_moments", "warmup", "candidates", "orthogonal"],
            ),
            ("/experiment/adamw", &["decay_matrices_only"]),
            (
                "/method",
                &[
                    "keep_second_moments",
                    "warmup",
                    "candidates",
                    "orthogonal",
                    "decay_matrices_only",
                ],
            ),
        ];
        for (table, keys) in later {
            let table = older.pointer_mut(table).unwrap().as_object_mut().unwrap();
            for key in keys {
                assert!(table.remove(*key).is_some(), "{key}");
            }
        }
        let older: State = serde_json::from_value(older).unwrap();
        assert_eq!(older.experiment.projection_lr, None);
    }
}
