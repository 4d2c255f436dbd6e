//! Which cells a bench is made of.

use crate::cells::Cell;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Experiment, Method, Precision};

/// What a bench can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// The phases of an update.
    Step,
    /// The memory of a training.
    Memory,
    /// The traffic of a data-parallel training, computed.
    Communication,
    /// The loss by update and by time.
    Convergence,
    /// Whether every backend computes the same.
    Agreement,
    /// All of them.
    All,
}

/// What a bench is to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is measured.
    pub suites: Vec<Suite>,
    /// Presets or config.json files.
    pub models: Vec<String>,
    /// How they are trained.
    pub methods: Vec<Method>,
    /// Only these backends; every one that works if empty.
    pub backends: Vec<BackendKind>,
    /// What they are computed in.
    pub precisions: Vec<Precision>,
    /// What frozen weights rest in.
    pub frozen: Precision,
    /// Number of the device.
    pub device: usize,
    /// Rank of the factors; a quarter of the width unless given.
    pub rank: Option<usize>,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// Updates that `step` times.
    pub updates: usize,
    /// Updates of `convergence`.
    pub steps: u64,
    /// Updates of `agreement`.
    pub agreement_steps: u64,
    /// Where everything is written.
    pub out: PathBuf,
    /// Measure again what has been measured.
    pub fresh: bool,
}

/// Sequences, their length and the rate of `agreement`: small enough for every backend, a rate at which rounding does not grow.
const AGREEMENT: (usize, usize, f64) = (4, 64, 1e-3);

impl Settings {
    /// Whether a suite was asked for.
    pub fn wants(&self, suite: Suite) -> bool {
        self.suites.contains(&suite) || self.suites.contains(&Suite::All)
    }

    /// The cells of the suites asked for, on the backends that work.
    pub(super) fn cells(&self, backends: &[BackendKind], tokens: &Path) -> Vec<(Suite, Cell)> {
        let mut cells = Vec::new();
        for &backend in backends {
            for &precision in &self.precisions {
                self.cells_on(backend, precision, tokens, &mut cells);
            }
        }
        // One suite after the other, so that what is compared was measured at about the same time.
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
                if self.wants(Suite::Memory) && precision == Precision::F32 {
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
