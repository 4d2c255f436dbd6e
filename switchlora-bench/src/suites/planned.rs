//! Plans the cells of a benchmark.

use crate::cells::Cell;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Experiment, Method, Precision};
use switchlora_train::model::Recompute;

/// A kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Time of the phases of an update
    Step,
    /// Memory of a training
    Memory,
    /// Traffic of data-parallel training, computed
    Communication,
    /// Loss by update and by time
    Convergence,
    /// Whether all backends compute the same
    Agreement,
    /// All of these
    All,
}

/// Settings of a benchmark.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Measurements.
    pub suites: Vec<Suite>,
    /// Presets or config.json files.
    pub models: Vec<String>,
    /// Training methods.
    pub methods: Vec<Method>,
    /// Backends; empty for all that work.
    pub backends: Vec<BackendKind>,
    /// Dtypes of the matrix products.
    pub precisions: Vec<Precision>,
    /// Dtype of the frozen weights in memory.
    pub frozen: Precision,
    /// What the backward pass computes again.
    pub recompute: Recompute,
    /// Index of the device.
    pub device: usize,
    /// Rank of the LoRA factors; by default a quarter of the hidden size, at most half of the narrowest projection.
    pub rank: Option<usize>,
    /// Sequences per batch.
    pub batch_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// Updates to time in `step`.
    pub updates: usize,
    /// Updates per training in `convergence`.
    pub steps: u64,
    /// Updates per training in `agreement`.
    pub agreement_steps: u64,
    /// Output folder.
    pub out: PathBuf,
    /// Whether to repeat measurements that have a result.
    pub fresh: bool,
}

/// Batch size, sequence length and learning rate of `agreement`: small enough for every backend, and a learning rate at
/// which rounding errors do not grow.
const AGREEMENT: (usize, usize, f64) = (4, 64, 1e-3);

impl Settings {
    /// Whether the settings include a suite.
    pub fn wants(&self, suite: Suite) -> bool {
        self.suites.contains(&suite) || self.suites.contains(&Suite::All)
    }

    /// The precision in which memory is measured: once, in f32 if that is among them.
    fn memory_precision(&self) -> Precision {
        match self.precisions[..] {
            [only] => only,
            _ => Precision::F32,
        }
    }

    /// The cells of the selected suites on `backends`.
    pub(super) fn cells(&self, backends: &[BackendKind], tokens: &Path) -> Vec<(Suite, Cell)> {
        let mut cells = Vec::new();
        for &backend in backends {
            for &precision in &self.precisions {
                self.cells_on(backend, precision, tokens, &mut cells);
            }
        }
        // Suite by suite, so that results to be compared are measured at about the same time.
        cells.sort_by_key(|(suite, _)| *suite as usize);
        cells
    }

    fn cells_on(
        &self,
        backend: BackendKind,
        precision: Precision,
        tokens: &Path,
        cells: &mut Vec<(Suite, Cell)>,
    ) {
        let tokens = tokens.to_path_buf();
        let on = |model: &str, method: Method| Experiment {
            backend,
            precision,
            frozen: match method.freezes() {
                true => self.frozen,
                false => Precision::F32,
            },
            recompute: self.recompute,
            method,
            model: model.to_owned(),
            device: self.device,
            rank: self.rank,
            batch_size: self.batch_size,
            sequence_length: self.sequence_length,
            ..Experiment::default()
        };
        for model in &self.models {
            if self.wants(Suite::Step) {
                let cell = Cell::Step {
                    experiment: on(model, Method::SwitchLora),
                    methods: self.methods.clone(),
                    updates: self.updates,
                };
                cells.push((Suite::Step, cell));
            }
            for &method in &self.methods {
                if self.wants(Suite::Memory) && precision == self.memory_precision() {
                    let experiment = on(model, method);
                    cells.push((Suite::Memory, Cell::Memory { experiment }));
                }
                if self.wants(Suite::Agreement) {
                    let (batch_size, sequence_length, lr) = AGREEMENT;
                    let experiment = Experiment {
                        batch_size,
                        sequence_length,
                        lr: Some(lr),
                        steps: self.agreement_steps,
                        eval_every: 0,
                        eval_sequences: 1,
                        ..on(model, method)
                    };
                    let tokens = tokens.clone();
                    cells.push((Suite::Agreement, Cell::Curve { experiment, tokens }));
                }
                if self.wants(Suite::Convergence) {
                    let experiment = Experiment {
                        steps: self.steps,
                        eval_every: (self.steps / 4).max(1),
                        eval_sequences: 32,
                        ..on(model, method)
                    };
                    let tokens = tokens.clone();
                    cells.push((Suite::Convergence, Cell::Curve { experiment, tokens }));
                }
            }
        }
    }
}
