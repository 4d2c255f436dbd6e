//! The experiment: its keys in TOML, and their defaults.

use super::settings::{GaLoreSettings, ReLoraSettings, ScheduleSettings, SwitchSettings};
use super::task::TaskSettings;
use super::warm_start::WarmStart;
use crate::backend::BackendKind;
use crate::data::pack::FIELD;
use crate::model::{Recompute, WeightInit};
use crate::processes::Moments;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use switchlora_core::{AdamWConfig, Method, MuonConfig, Precision};

/// Every choice of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// Training method.
    pub method: Method,
    /// A preset's name, the path of a Hugging Face `config.json`, or a Hugging Face folder to start from.
    pub model: String,
    /// Rank of the factors or projections; unless given, a quarter of the hidden size, at most half of the narrowest
    /// projection.
    pub rank: Option<usize>,
    /// Whether the optimizer holds the factors, beside a model of plain weights, instead of the model's layers.
    pub plain: bool,
    /// Updates of the whole training.
    pub steps: u64,
    /// Sequences in a micro-batch.
    pub batch_size: usize,
    /// Gradient accumulation: micro-batches in an update. In a new run those of each process; a run keeps those of all its
    /// processes together.
    pub accumulation: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// Peak learning rate; a default of the method unless given.
    pub lr: Option<f64>,
    /// Peak learning rate of factors, and of the projections' weights in methods without factors; unless given, `lr`,
    /// or a default of the method if that is not given either.
    pub projection_lr: Option<f64>,
    /// How the weights of a new model are drawn.
    pub init: WeightInit,
    /// Seed of all random numbers of the run.
    pub seed: u64,
    /// Training text: files, folders and patterns of documents, or packed files; the embedded text if empty.
    pub data: Vec<PathBuf>,
    /// Validation set, in the same forms. If empty, the last 5 % of each file of plain text, or of all that is packed.
    pub validation: Vec<PathBuf>,
    /// A weight for each packed file of `data`; their lengths if empty.
    pub weights: Vec<f64>,
    /// The field of a line, or the column, that holds a document's text.
    pub field: String,
    /// A `tokenizer.json`; the embedded one unless given.
    pub tokenizer: Option<PathBuf>,
    /// Backend that computes.
    pub backend: BackendKind,
    /// Number of the device.
    pub device: usize,
    /// Dtype of matrix products; everything else is computed and kept in f32.
    pub precision: Precision,
    /// Dtype of the frozen weights in memory.
    pub frozen: Precision,
    /// Dtype of the gradients that processes send to each other.
    pub reduce: Precision,
    /// Which of several processes keep the moments of a parameter and update it.
    pub moments: Moments,
    /// Activations that the backward pass computes again instead of keeping them.
    pub recompute: Recompute,
    /// Updates between two evaluations; 0 for a single one at the end.
    pub eval_every: u64,
    /// Sequences of an evaluation, spread over the validation set; 0 for all.
    pub eval_sequences: u64,
    /// Updates between two checkpoints; 0 for a single one at the end.
    pub checkpoint_every: u64,
    /// How many of the newest checkpoints to keep, besides the best.
    pub keep: usize,
    /// Largest global gradient norm; larger gradients are scaled down to it.
    pub clip: f64,
    /// Full-rank training before the method begins: a run or checkpoint to take the weights from, or a number of the run's
    /// own updates.
    pub warm_start: Option<WarmStart>,
    /// Peak learning rate of the run's own full-rank updates; 3e-3, or `lr` if it is lower, unless given.
    pub warm_start_lr: Option<f64>,
    /// Learning rate schedule.
    pub schedule: ScheduleSettings,
    /// SwitchLoRA: the switches, and the scale of the factors.
    pub switch: SwitchSettings,
    /// ReLoRA: the restarts, and the scale of the factors.
    pub relora: ReLoraSettings,
    /// GaLore: the projections.
    pub galore: GaLoreSettings,
    /// Orthogonal steps: of Muon, and of the factors where `switch.orthogonal` says so.
    pub muon: MuonConfig,
    /// AdamW.
    pub adamw: AdamWConfig,
    /// What a fine-tuning learns; `None` for running text.
    pub task: Option<TaskSettings>,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            method: Method::default(),
            model: "tiny".to_owned(),
            rank: None,
            plain: false,
            steps: 1000,
            batch_size: 8,
            accumulation: 1,
            sequence_length: 128,
            lr: None,
            projection_lr: None,
            init: WeightInit::default(),
            seed: 0,
            data: Vec::new(),
            validation: Vec::new(),
            weights: Vec::new(),
            field: FIELD.to_owned(),
            tokenizer: None,
            backend: BackendKind::default(),
            device: 0,
            precision: Precision::default(),
            frozen: Precision::default(),
            reduce: Precision::default(),
            moments: Moments::default(),
            recompute: Recompute::default(),
            eval_every: 100,
            eval_sequences: 128,
            checkpoint_every: 200,
            keep: 2,
            clip: 1.0,
            warm_start: None,
            warm_start_lr: None,
            schedule: ScheduleSettings::default(),
            switch: SwitchSettings::default(),
            relora: ReLoraSettings::default(),
            galore: GaLoreSettings::default(),
            muon: MuonConfig::default(),
            adamw: AdamWConfig::default(),
            task: None,
        }
    }
}

impl Experiment {
    /// Tokens in an update.
    pub fn tokens_per_update(&self) -> u64 {
        (self.batch_size * self.accumulation * self.sequence_length) as u64
    }

    /// Full-rank updates at the beginning of the run.
    pub fn full_rank_updates(&self) -> u64 {
        match self.warm_start {
            Some(WarmStart::Updates(updates)) => updates,
            Some(WarmStart::From(_)) | None => 0,
        }
    }

    /// Learning rates of a resolved experiment as text, for people.
    pub fn rates(&self) -> String {
        let lr = self.lr.unwrap_or_default();
        match self.projection_lr.filter(|projections| *projections != lr) {
            Some(projections) => format!("{lr:.1e}, of projections {projections:.1e}"),
            None => format!("{lr:.1e}"),
        }
    }

    /// Dtypes of products and frozen weights as text, for people.
    pub fn numbers(&self) -> String {
        let precision = self.precision;
        match self.method.freezes() && self.frozen != Precision::F32 {
            true => format!("{precision}, frozen {}", self.frozen),
            false => precision.to_string(),
        }
    }
}
