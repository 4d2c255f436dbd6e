//! Errors of a folder of golden runs.

use std::fmt;
use std::path::{Path, PathBuf};
use switchlora_core::ConfigError;
use switchlora_train::model::{LlamaConfigError, NameError};
use switchlora_train::training::UpdateError;

/// Why a golden run cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// An update could not be done.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}; expected {expected}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: std::io::Error,
        /// The kind of file expected.
        expected: &'static str,
    },
    /// A file is not the log of a run.
    #[error("{path} is not the log of a run: {reason}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        reason: serde_json::Error,
    },
    /// A file is not a safetensors file, or is damaged.
    #[error("{path} is not a whole safetensors file: {reason}", path = path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The reader's error.
        reason: safetensors::SafeTensorError,
    },
    /// The model's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] LlamaConfigError),
    /// The folder holds no run.
    #[error(
        "{path} holds no run: expected the log of a run such as switchlora.json, lora.json, full.json, galore.json or relora_initA.json; name another with --runs",
        path = path.display()
    )]
    NoRuns {
        /// The folder.
        path: PathBuf,
    },
    /// A tensor is missing, or has the wrong dtype, shape or values.
    #[error("{path}: tensor `{name}` is {found}, expected {expected}", path = path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// The tensor found.
        found: String,
        /// The tensor expected.
        expected: String,
    },
    /// A value of a log is missing or unusable.
    #[error("{path}: `{key}` is {found}, expected {expected}", path = path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Key in the log.
        key: String,
        /// The value found.
        found: String,
        /// The values allowed.
        expected: String,
    },
    /// The tensors of a start do not fit the model.
    #[error("{path} does not fit config.json: {reason}", path = path.display())]
    Fit {
        /// The file.
        path: PathBuf,
        /// The tensor that does not fit.
        reason: NameError,
    },
    /// The method's settings contradict each other.
    #[error("{path}: {reason}", path = path.display())]
    Method {
        /// The log.
        path: PathBuf,
        /// The contradiction.
        reason: ConfigError,
    },
}

impl GoldenError {
    pub(super) fn tensor(
        path: &Path,
        name: &str,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self::Tensor {
            path: path.to_owned(),
            name: name.to_owned(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    pub(super) fn value(
        path: &Path,
        key: impl fmt::Display,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self::Value {
            path: path.to_owned(),
            key: key.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}
