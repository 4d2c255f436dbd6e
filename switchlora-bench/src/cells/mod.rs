//! Cells: the measurements of a benchmark, each in its own process.
//!
//! In its own process, a measurement cannot warm up, slow down or crash another one, and the peak memory of the process
//! is that of the cell. The cell is passed to the process as JSON on the command line; the process prints its result as
//! one line of JSON.

mod curve;
mod floor;
mod memory;
mod step;
mod trial;

pub use curve::CurveResult;
pub(crate) use curve::{is_embedded, read_text};
pub use trial::TrialResult;

use crate::communication::{self, LinkedResult, Tools, Wire};
use crate::results::{MemoryRow, StepRow};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::experiment::{Experiment, Method, Precision};
use switchlora_train::hexadecimal;
use switchlora_train::model::LlamaConfig;

/// One measurement, with all settings that decide its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "suite", rename_all = "lowercase")]
pub enum Cell {
    /// Times of the phases of an update, with the methods taking turns.
    Step {
        /// Model, rank, batch and backend. Its own method is not used.
        experiment: Experiment,
        /// The methods to time.
        methods: Vec<Method>,
        /// Number of updates to time.
        updates: usize,
    },
    /// Memory of one training.
    Memory {
        /// The training.
        experiment: Experiment,
    },
    /// Losses of one training.
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
    /// One training of several processes, in namespaces of their own.
    Processes {
        /// The training.
        experiment: Experiment,
        /// How many processes.
        processes: usize,
        /// What joins them.
        wire: Wire,
        /// The trainer, and how it is isolated.
        tools: Tools,
    },
}

/// The result of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "suite", rename_all = "lowercase")]
pub enum Found {
    /// A row for each method.
    Step {
        /// The rows, in the order of the methods.
        rows: Vec<StepRow>,
    },
    /// The memory of a training.
    Memory {
        /// The row.
        row: MemoryRow,
    },
    /// The losses of a training.
    Curve(CurveResult),
    /// A training of a comparison.
    Trial(TrialResult),
    /// What several processes sent.
    Processes(LinkedResult),
}

impl Cell {
    /// The experiment of the cell.
    pub fn experiment(&self) -> &Experiment {
        match self {
            Self::Step { experiment, .. }
            | Self::Memory { experiment }
            | Self::Curve { experiment, .. }
            | Self::Trial { experiment, .. }
            | Self::Processes { experiment, .. } => experiment,
        }
    }

    /// The command with which `program`, this one, measures it.
    ///
    /// # Errors
    ///
    /// A setting cannot be written as JSON.
    pub(crate) fn command(&self, program: &Path) -> Result<Command> {
        let mut command = match self {
            Self::Processes { tools, .. } => tools.isolated(program),
            _ => Command::new(program),
        };
        command.args(["cell", "--end-with-input", &serde_json::to_string(self)?]);
        Ok(command)
    }

    /// Name for output and for the file of the result. Ends with a hash of all settings, and of the sizes of a model that is a
    /// file.
    ///
    /// # Errors
    ///
    /// A setting cannot be written as JSON.
    pub fn name(&self) -> Result<String> {
        let experiment = self.experiment();
        let suite = match self {
            Self::Step { .. } => "step",
            Self::Memory { .. } => "memory",
            Self::Curve { .. } => "curve",
            Self::Trial { .. } => "trial",
            Self::Processes { .. } => "processes",
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
        let mut settings = serde_json::to_vec(self)?;
        if LlamaConfig::preset(&experiment.model).is_none() {
            // One that cannot be read fails when it is measured.
            let sizes = LlamaConfig::resolve(&experiment.model).ok();
            settings.extend(serde_json::to_vec(&sizes)?);
        }
        // Composed operations have other times, and other last digits.
        if switchlora_ops::is_composed() {
            settings.extend(b"composed");
        }
        let hash = hexadecimal(&Sha256::digest(settings)[..4]);
        let backend = experiment.backend;
        Ok(format!(
            "{suite}-{backend}-{model}-{method}{precision}{frozen}-{hash}"
        ))
    }

    /// Measures in this process.
    ///
    /// # Errors
    ///
    /// The experiment or the backend cannot be used, or the training fails.
    pub fn measure(self) -> Result<Found> {
        let experiment = self.experiment().clone();
        let (backend, device) = (experiment.backend, experiment.device);
        if backend == BackendKind::Auto {
            anyhow::bail!("a cell needs a backend other than auto");
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
                let curve = curve::CurveJob::new(experiment, tokens)?;
                let found = run_on(backend, device, curve)?.context("the training failed")?;
                Ok(Found::Curve(found))
            }
            Self::Trial { tokens, .. } => {
                let trial = trial::Trial(curve::CurveJob::new(experiment, tokens)?);
                Ok(Found::Trial(run_on(backend, device, trial)??))
            }
            Self::Processes {
                processes,
                wire,
                tools,
                ..
            } => communication::train(&experiment, processes, wire, &tools).map(Found::Processes),
        }
    }
}
