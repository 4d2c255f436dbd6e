//! Everything that can be wrong with a Hugging Face folder, and with writing one.

use crate::model::config::ConfigProblem;
use crate::model::{LlamaConfigError, NameError};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// How many names of one kind are listed.
const LISTED: usize = 6;
/// How many problems are listed: where one size is wrong, hundreds of tensors are.
const MOST: usize = 12;

/// Why a folder cannot be used as a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is no `config.json`, or it is not JSON.
    #[error(transparent)]
    Config(#[from] LlamaConfigError),
    /// There are no weights.
    #[error("{} has neither model.safetensors nor model.safetensors.index.json{hint}", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// What to do about it, where there are weights in another form.
        hint: &'static str,
    },
    /// What it holds is not a LLaMA that can be built here: everything that is wrong.
    #[error("{} cannot be used: {}", path.display(), joined(problems))]
    Problems {
        /// The folder.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// A file could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The tensors do not fit the model after all.
    #[error("{}: {reason}", path.display())]
    Names {
        /// The folder.
        path: PathBuf,
        /// What does not fit.
        reason: NameError,
    },
}

/// One thing that is wrong with a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A key of `config.json` that is wrong or not supported.
    Key(ConfigProblem),
    /// A file that is not what its name says.
    File {
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Tensors that the model needs and the files do not have.
    Missing(Vec<String>),
    /// Tensors that the model has no place for.
    Unknown(Vec<String>),
    /// A tensor of another shape.
    Shape {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the model needs.
        expected: Vec<usize>,
    },
    /// A tensor in a type of numbers that is not read here.
    Type {
        /// Its name.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor with an entry that is no finite number.
    NotFinite {
        /// Its name.
        name: String,
        /// Which entry, counted from 0.
        entry: usize,
    },
    /// A head that differs from the embedding it should be.
    Untied,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(ConfigProblem {
                key,
                found,
                expected,
            }) => write!(f, "`{key}` is {found} (expected {expected})"),
            Self::File { file, reason } => write!(f, "{file}: {reason}"),
            Self::Missing(names) => write!(f, "missing tensors: {}", listed(names)),
            Self::Unknown(names) => {
                write!(f, "tensors the model has no place for: {}", listed(names))
            }
            Self::Shape {
                name,
                found,
                expected,
            } => write!(f, "{name} has shape {found:?} (expected {expected:?})"),
            Self::Type { name, found } => {
                write!(f, "{name} holds {found} (expected F32, F16 or BF16)")
            }
            Self::NotFinite { name, entry } => {
                write!(f, "entry {entry} of {name} is not a finite number")
            }
            Self::Untied => f.write_str(
                "lm_head.weight differs from model.embed_tokens.weight though `tie_word_embeddings` is true",
            ),
        }
    }
}

fn joined(problems: &[Problem]) -> String {
    let texts: Vec<_> = problems
        .iter()
        .take(MOST)
        .map(ToString::to_string)
        .collect();
    match problems.len().saturating_sub(MOST) {
        0 => texts.join("; "),
        more => format!("{}; and {more} more of that kind", texts.join("; ")),
    }
}

fn listed(names: &[String]) -> String {
    // A name from a stranger may hold anything, a line break too.
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
    /// There is something at the place already.
    #[error("{} exists: add --force to replace it, or choose another --out", .0.display())]
    Exists(PathBuf),
    /// What is at the place is no folder of this kind, so that nobody can have meant it to be replaced.
    #[error("{} exists and is not a Hugging Face folder: choose another --out", .0.display())]
    NotAModel(PathBuf),
    /// A weight does not fit into the type of numbers asked for.
    #[error("{name} holds {value}, which {dtype} cannot: choose --dtype f32 or bf16")]
    TooLarge {
        /// Name of the tensor.
        name: String,
        /// The weight.
        value: f32,
        /// What it was to be written in.
        dtype: &'static str,
    },
    /// The system refused.
    #[error("cannot write {}: {reason}; free some space, or choose another --out", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}
