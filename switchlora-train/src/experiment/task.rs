//! Table `[task]`: what a fine-tuning learns, in place of the next token of running text.

use crate::tasks::GlueTask;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Table `[task]`: what a fine-tuning learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// The task: one of GLUE, `custom` or `text`.
    pub name: TaskName,
    /// The folder with GLUE's files, or the file to train on.
    pub data: PathBuf,
    /// The file to evaluate on, of a task that is not GLUE's.
    #[serde(default)]
    pub validation: Option<PathBuf>,
    /// Task `custom`: the column of the text; task `text`: the field of the prompt.
    #[serde(default)]
    pub first: Option<String>,
    /// Task `custom`: the column of the second text, if there is one; task `text`: the field of the answer.
    #[serde(default)]
    pub second: Option<String>,
    /// Task `custom`: the column of the label.
    #[serde(default)]
    pub label: Option<String>,
    /// Task `custom`: whether the label is a number to be predicted.
    #[serde(default)]
    pub regression: bool,
    /// Evaluations without a better one after which the run ends; 0 for never.
    #[serde(default)]
    pub patience: u64,
}

/// A task by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TaskName {
    /// A task of GLUE.
    Glue(GlueTask),
    /// Classes or numbers of texts in a file.
    Custom,
    /// Answers to prompts.
    Text,
}

/// A name that is no task's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no task is called {name}: expected {expected}")]
pub struct UnknownTask {
    name: String,
    expected: String,
}

impl TaskName {
    /// Every name.
    pub fn all() -> Vec<String> {
        let glue = GlueTask::ALL.into_iter().map(Self::Glue);
        let all = glue.chain([Self::Custom, Self::Text]);
        all.map(|task| task.to_string()).collect()
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glue(task) => task.fmt(f),
            Self::Custom => f.pad("custom"),
            Self::Text => f.pad("text"),
        }
    }
}

impl FromStr for TaskName {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        match name {
            "custom" => Ok(Self::Custom),
            "text" => Ok(Self::Text),
            name => name.parse().map(Self::Glue).map_err(|_| UnknownTask {
                name: name.to_owned(),
                expected: Self::all().join(", "),
            }),
        }
    }
}

impl TryFrom<String> for TaskName {
    type Error = UnknownTask;

    fn try_from(name: String) -> Result<Self, UnknownTask> {
        name.parse()
    }
}

impl From<TaskName> for String {
    fn from(task: TaskName) -> Self {
        task.to_string()
    }
}
