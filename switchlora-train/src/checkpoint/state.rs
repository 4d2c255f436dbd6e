//! Everything of a checkpoint that is not a tensor.

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
    /// SHA-256 of the tokenizer's file.
    pub tokenizer_sha256: String,
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
}
