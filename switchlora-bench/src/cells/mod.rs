//! Cells: the smallest parts of a bench that are measured on their own, each in a process of its own.
//!
//! A process a cell keeps one measurement from warming up, filling the memory of, or taking down another, and makes the
//! peak of its memory the cell's. What a cell is to measure travels as JSON on the command line, what it found comes back as
//! one line of JSON.

mod curve;
mod floor;
mod memory;
mod step;
mod trial;

pub use curve::CurveResult;
pub use trial::TrialResult;

use crate::results::{MemoryRow, StepRow};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::experiment::{Experiment, Method, Precision};
use switchlora_train::hexadecimal;

/// One measurement. Two cells with the same settings measure the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "suite", rename_all = "lowercase")]
pub enum Cell {
    /// The phases of an update, the methods in turn.
    Step {
        /// Model, rank, batch, backend; the methods are those of `methods`.
        experiment: Experiment,
        /// full, lora, switchlora.
        methods: Vec<Method>,
        /// Updates that are timed.
        updates: usize,
    },
    /// The memory of one training.
    Memory {
        /// The training.
        experiment: Experiment,
    },
    /// The losses of one training.
    Curve {
        /// The training.
        experiment: Experiment,
        /// The embedded text as packed tokens.
        tokens: PathBuf,
    },
    /// One training of a comparison.
    Trial {
        /// The training; resolved.
        experiment: Experiment,
        /// The embedded text as packed tokens, for an experiment without text of its own.
        tokens: PathBuf,
    },
}

/// What a cell found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "suite", rename_all = "lowercase")]
pub enum Found {
    /// A row for each method.
    Step {
        /// In the order of the methods.
        rows: Vec<StepRow>,
    },
    /// One row.
    Memory {
        /// The row.
        row: MemoryRow,
    },
    /// One curve.
    Curve(CurveResult),
    /// One training.
    Trial(TrialResult),
}

impl Cell {
    /// The training it measures.
    pub fn experiment(&self) -> &Experiment {
        match self {
            Self::Step { experiment, .. }
            | Self::Memory { experiment }
            | Self::Curve { experiment, .. }
            | Self::Trial { experiment, .. } => experiment,
        }
    }

    /// Its name for people, and for its file: unique by the hash at its end.
    pub fn name(&self) -> Result<String> {
        let experiment = self.experiment();
        let suite = match self {
            Self::Step { .. } => "step",
            Self::Memory { .. } => "memory",
            Self::Curve { .. } => "curve",
            Self::Trial { .. } => "trial",
        };
        let method = match self {
            Self::Step { .. } => "methods",
            _ => experiment.method.name(),
        };
        let model = PathBuf::from(&experiment.model);
        let model = model.file_stem().unwrap_or_default().to_string_lossy();
        let precision = match experiment.precision {
            Precision::F32 => "",
            Precision::Bf16 => "-bf16",
        };
        let frozen = match experiment.frozen {
            Precision::F32 => "",
            Precision::Bf16 => "-frozen-bf16",
        };
        let hash = Sha256::digest(serde_json::to_vec(self)?);
        let hash = hexadecimal(&hash[..4]);
        let backend = experiment.backend;
        Ok(format!(
            "{suite}-{backend}-{model}-{method}{precision}{frozen}-{hash}"
        ))
    }

    /// Measures, in this process.
    pub fn measure(self) -> Result<Found> {
        let experiment = self.experiment().clone();
        let (backend, device) = (experiment.backend, experiment.device);
        if backend == BackendKind::Auto {
            anyhow::bail!("a cell needs a backend");
        }
        backend.check_device(device, &[experiment.precision, experiment.frozen])?;
        match self {
            Self::Step {
                methods, updates, ..
            } => {
                let rows = step::measure(&experiment, methods, updates)?;
                Ok(Found::Step { rows })
            }
            Self::Memory { .. } => {
                let row = run_on(backend, device, memory::Memory(experiment))??;
                Ok(Found::Memory { row })
            }
            Self::Curve { tokens, .. } => {
                switchlora_train::memory::keep_pages();
                let curve = curve::CurveJob::new(experiment, tokens)?;
                let found = run_on(backend, device, curve)?.context("the training failed")?;
                Ok(Found::Curve(found))
            }
            Self::Trial { tokens, .. } => {
                switchlora_train::memory::keep_pages();
                let trial = trial::Trial(curve::CurveJob::new(experiment, tokens)?);
                Ok(Found::Trial(run_on(backend, device, trial)??))
            }
        }
    }
}
