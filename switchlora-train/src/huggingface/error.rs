//! Errors of reading and writing Hugging Face folders.

use crate::advice::advice;
use crate::at_path::AtPath;
use crate::model::config::ConfigProblem;
use crate::model::{LlamaConfigError, NameError};
use std::io;
use std::path::PathBuf;

/// Most tensor names listed in a message.
const LISTED: usize = 6;
/// Most problems listed in a message. One wrong size can make hundreds of tensors wrong.
const MOST: usize = 12;

/// Why a folder cannot be loaded as a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// `config.json` is missing or is not JSON.
    #[error(transparent)]
    Config(#[from] LlamaConfigError),
    /// The folder has no weights in safetensors format.
    #[error("{} has neither model.safetensors nor model.safetensors.index.json{hint}", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// Advice, if the folder has weights in another format.
        hint: &'static str,
    },
    /// The folder does not hold a supported LLaMA.
    #[error("{} cannot be used: {}", path.display(), joined(problems))]
    Problems {
        /// The folder.
        path: PathBuf,
        /// All problems.
        problems: Vec<Problem>,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: io::Error,
    },
    /// The tensors do not fit the model.
    #[error("{0}")]
    Names(AtPath<NameError>),
}

/// One problem of a folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A key of `config.json` has a wrong or unsupported value.
    #[error(transparent)]
    Key(ConfigProblem),
    /// A file is damaged, or not of the type that its name says.
    #[error("{file}: {reason}")]
    File {
        /// Name of the file.
        file: String,
        /// Description of the fault.
        reason: String,
    },
    /// Tensors that the model needs are missing.
    #[error("missing tensors: {}", listed(.0))]
    Missing(Vec<String>),
    /// The files contain tensors that the model does not have.
    #[error("tensors that the model does not have: {}", listed(.0))]
    Unknown(Vec<String>),
    /// A tensor has the wrong shape.
    #[error("{name} has shape {found:?} (expected {expected:?})")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the model needs.
        expected: Vec<usize>,
    },
    /// A tensor has an unsupported dtype.
    #[error("{name} holds {found} (expected F32, F16 or BF16)")]
    Type {
        /// Name of the tensor.
        name: String,
        /// Its dtype.
        found: String,
    },
    /// A tensor has an entry that is not finite.
    #[error("entry {entry} of {name} is not a finite number")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// Index of the entry, row-major, counted from 0.
        entry: usize,
    },
    /// The head differs from the embedding although the configuration ties them.
    #[error(
        "lm_head.weight differs from model.embed_tokens.weight though `tie_word_embeddings` is true"
    )]
    Untied,
}

fn joined(problems: &[Problem]) -> String {
    let texts: Vec<_> = problems
        .iter()
        .take(MOST)
        .map(ToString::to_string)
        .collect();
    match problems.len().saturating_sub(MOST) {
        0 => texts.join("; "),
        more => format!("{}; and {more} more problems", texts.join("; ")),
    }
}

fn listed(names: &[String]) -> String {
    // Names in untrusted files may contain anything, including line breaks.
    let name = |name: &String| name.escape_debug().to_string();
    let first: Vec<_> = names.iter().take(LISTED).map(name).collect();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Why a folder could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A Hugging Face folder exists at the path.
    #[error("{} exists: add --force to replace it, or choose another --out", .0.display())]
    Exists(PathBuf),
    /// Something else exists at the path; it is never replaced.
    #[error("{} exists and is not a Hugging Face folder: choose another --out", .0.display())]
    NotAModel(PathBuf),
    /// A Hugging Face folder with files that an export does not write; they would be lost.
    #[error(
        "{} has more than a model, and all of it would be replaced: move {} away, or choose another --out",
        path.display(),
        listed(others)
    )]
    Others {
        /// The folder.
        path: PathBuf,
        /// The names.
        others: Vec<String>,
    },
    /// Another process writes the folder.
    #[error("{} is being written by process {process}: wait for it to end, or choose another --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The id of that process.
        process: String,
    },
    /// A weight overflows the dtype.
    #[error("{name} holds {value}, which exceeds {dtype}: choose --dtype f32 or bf16")]
    TooLarge {
        /// Name of the tensor.
        name: String,
        /// The weight.
        value: f32,
        /// Name of the dtype.
        dtype: &'static str,
    },
    /// The system refused.
    #[error("cannot write {}: {reason}; {}, or choose another --out", path.display(), advice(reason))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        reason: io::Error,
    },
}
