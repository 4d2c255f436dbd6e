//! Errors of GLUE's tasks, splits and predictions.

use super::super::brief::list;
use super::{GlueSplit, GlueTask};
use std::path::PathBuf;

/// Why a split of GLUE could not be read, or predictions not be submitted. Each message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GlueError {
    /// A folder has no file of a split.
    #[error(
        "{}: no {split} split of {task} (looked for {}); give the folder that holds the GLUE task folders, or the folder \
         of the task",
        folder.display(), list(looked_for)
    )]
    SplitMissing {
        /// The folder as it was given.
        folder: PathBuf,
        /// The task.
        task: GlueTask,
        /// The split.
        split: GlueSplit,
        /// The files that were looked for, relative to the folder.
        looked_for: Vec<String>,
    },

    /// A task lacks a split, or the split does not serve the purpose.
    #[error(
        "{task}: split {split} cannot be {purpose}; choose one of {}",
        list(splits.iter().map(|split| split.name()))
    )]
    WrongSplit {
        /// The task.
        task: GlueTask,
        /// The split as it was given.
        split: GlueSplit,
        /// The purpose: `read` or `submitted`.
        purpose: &'static str,
        /// The splits that serve it.
        splits: &'static [GlueSplit],
    },

    /// A prediction is not a label of its task.
    #[error(
        "{task}: prediction {index} is {found}, expected {expected}; use a model that was trained for this task"
    )]
    Prediction {
        /// The task.
        task: GlueTask,
        /// Index of the prediction, counted from 0.
        index: usize,
        /// The prediction.
        found: String,
        /// What was expected.
        expected: String,
    },
}
