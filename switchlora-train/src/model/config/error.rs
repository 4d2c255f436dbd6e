//! Why a model configuration cannot be used: every key that is wrong, in one message.

use std::fmt;
use std::path::PathBuf;

use super::hf::LARGEST_FILE;
use super::presets::preset_names;

/// Why there is no model configuration.
#[derive(Debug, thiserror::Error)]
pub enum LlamaConfigError {
    /// Neither a preset nor a file.
    #[error("no model `{name}`: expected {presets}, a Hugging Face folder or the path of a Hugging Face config.json{hint}", presets = preset_names())]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// `; did you mean ...?`, or nothing where no preset is near.
        hint: String,
    },
    /// The file cannot be read.
    #[error("cannot read the model configuration {path}: {reason}; expected a Hugging Face config.json", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
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
        /// Where the text stops being one.
        reason: serde_json::Error,
    },
    /// The file describes something other than a LLaMA model that can be built here.
    #[error("{path} cannot be used: {problems}; change these keys or choose a preset with --model", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: ConfigProblems,
    },
    /// The values contradict each other.
    #[error(
        "the model configuration cannot be used: {problems}; change these keys or choose a preset with --model"
    )]
    Invalid {
        /// Everything that is wrong with it.
        problems: ConfigProblems,
    },
}

/// One key that cannot be used, what it holds and what it should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key in `config.json`.
    pub key: &'static str,
    /// What it holds.
    pub found: String,
    /// What can be used.
    pub expected: String,
}

/// Every problem of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            index,
            ConfigProblem {
                key,
                found,
                expected,
            },
        ) in self.0.iter().enumerate()
        {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{key}` is {found} (expected {expected})")?;
        }
        Ok(())
    }
}

impl ConfigProblems {
    pub(super) fn add(
        &mut self,
        key: &'static str,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) {
        self.0.push(ConfigProblem {
            key,
            found: found.to_string(),
            expected: expected.to_string(),
        });
    }

    pub(crate) fn mention(&self, key: &str) -> bool {
        self.0.iter().any(|problem| problem.key == key)
    }
}
