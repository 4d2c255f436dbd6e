//! Why a model configuration cannot be used: every key that is wrong, in one message.

use crate::advice::advice;
use std::fmt::{self, Display};
use std::path::PathBuf;

/// Largest file that is read, in bytes. A configuration is a few kilobytes.
pub(super) const LARGEST_FILE: u64 = 1 << 20;

/// Longest value in a message, in bytes.
const LONGEST: usize = 120;

/// Why a model configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LlamaConfigError {
    /// Neither a preset nor a file.
    #[error(
        "no model `{name}`: expected {presets}, a Hugging Face folder or the path of a Hugging Face config.json{hint}"
    )]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The names of all presets.
        presets: String,
        /// `; did you mean ...?`, or nothing where no preset is near.
        hint: String,
    },
    /// The file cannot be read.
    #[error("cannot read the model configuration {path}: {reason}; {}", advice(reason), path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// The folder is a run of this program.
    #[error(
        "{path} is a run, not a Hugging Face folder: start from its weights with --warm-start {path}, or give a folder that \
         export has made of it",
        path = path.display()
    )]
    Run {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds an adapter, and not the model that it changes.
    #[error(
        "{path} holds an adapter of another model (adapter_config.json) and no config.json: merge the adapter into its \
         model with merge_and_unload of peft, save the result with save_pretrained, and give that folder",
        path = path.display()
    )]
    Adapter {
        /// The folder.
        path: PathBuf,
    },
    /// The file is far larger than any configuration.
    #[error("{path} has more than {LARGEST_FILE} bytes: expected a Hugging Face config.json, a few kilobytes of JSON", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a JSON object.
    #[error("{path} is not a JSON object: {reason}; expected a Hugging Face config.json", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where the text stops being a JSON object, or what the file is in its place.
        reason: String,
    },
    /// The file describes something other than a LLaMA model that can be built here.
    #[error("{path} cannot be used: {problems}; change these keys or choose a preset with --model", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Every value that is wrong.
        problems: ConfigProblems,
    },
    /// The values contradict each other.
    #[error(
        "the model configuration cannot be used: {problems}; change these keys or choose a preset with --model"
    )]
    Invalid {
        /// Every value that is wrong.
        problems: ConfigProblems,
    },
}

/// A key that cannot be used: its value and the values allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {found} (expected {expected})")]
pub struct ConfigProblem {
    /// The key in `config.json`.
    pub key: &'static str,
    /// Its value.
    pub found: String,
    /// The values allowed.
    pub expected: String,
}

/// Every problem of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

impl ConfigProblems {
    pub(super) fn add(&mut self, key: &'static str, found: impl Display, expected: impl Display) {
        let (mut found, expected) = (found.to_string(), expected.to_string());
        if found.len() > LONGEST {
            found.truncate(found.floor_char_boundary(LONGEST));
            found.push('…');
        }
        self.0.push(ConfigProblem {
            key,
            found,
            expected,
        });
    }

    pub(crate) fn mention(&self, key: &str) -> bool {
        self.0.iter().any(|problem| problem.key == key)
    }
}
