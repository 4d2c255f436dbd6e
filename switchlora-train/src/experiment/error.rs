//! Why an experiment cannot be run.

use crate::at_path::AtPath;
use crate::model::LlamaConfigError;
use std::path::PathBuf;
use switchlora_core::ConfigError;

/// Why an experiment cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// The file is not an experiment.
    #[error("{0}")]
    Toml(AtPath<String>),
    /// A flag has a value that `config.toml` cannot hold: an integer above 2^63, or a path that is not UTF-8.
    #[error("a flag's value cannot be written to config.toml")]
    Flag(#[from] toml::ser::Error),
    /// A number is outside its range.
    #[error("{key} is {value}, expected {expected}")]
    OutOfRange {
        /// The key of the file, which is also the flag's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] LlamaConfigError),
    /// The method's settings cannot be used.
    #[error(transparent)]
    Method(#[from] ConfigError),
}
