//! Why an experiment cannot be run.

use crate::advice::advice;
use crate::at_path::AtPath;
use crate::model::LlamaConfigError;
use std::path::PathBuf;
use switchlora_core::ConfigError;

/// Why an experiment cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}; {}", path.display(), advice(reason))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// The file is not an experiment.
    #[error("{0}")]
    Toml(AtPath<String>),
    /// A value that `config.toml` or `state.json` cannot hold.
    #[error("a value cannot be kept in config.toml and state.json: {reason}")]
    Unstorable {
        /// Which value, and why.
        reason: String,
    },
    /// A number is outside its range.
    #[error("{key} is {value}, expected {expected}")]
    OutOfRange {
        /// The key of the file, which is also the flag's name (with hyphens); inside a table, `table.key`.
        key: String,
        /// The value given.
        value: String,
        /// The values allowed.
        expected: String,
    },
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] LlamaConfigError),
    /// The method's settings cannot be used.
    #[error(transparent)]
    Method(#[from] ConfigError),
}
