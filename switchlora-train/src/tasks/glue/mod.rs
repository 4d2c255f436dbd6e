//! The nine tasks of GLUE (Wang et al. 2019, <https://gluebenchmark.com>).
//!
//! [`GlueTask::read`] reads GLUE's own files, and [`GlueTask::write_submission`] writes predictions as GLUE's server
//! takes them.

mod error;
mod facts;
mod files;
mod name;
mod paraphrases;
mod read;
mod split;
mod submission;
#[cfg(test)]
mod tests;

pub use error::GlueError;
pub use name::UnknownName;
pub use split::GlueSplit;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A task of GLUE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GlueTask {
    /// Is a sentence acceptable English?
    Cola,
    /// Is a film review positive?
    Sst2,
    /// Do two sentences of the news mean the same?
    Mrpc,
    /// How similar are two sentences, from 0 to 5?
    Stsb,
    /// Do two questions ask the same?
    Qqp,
    /// Does a premise entail or contradict a hypothesis?
    Mnli,
    /// Does a sentence answer a question?
    Qnli,
    /// Does a text entail a hypothesis?
    Rte,
    /// Does a sentence with its pronoun replaced follow from the sentence?
    Wnli,
}

impl GlueTask {
    /// All tasks, in the order of GLUE's table.
    pub const ALL: [Self; 9] = [
        Self::Cola,
        Self::Sst2,
        Self::Mrpc,
        Self::Stsb,
        Self::Qqp,
        Self::Mnli,
        Self::Qnli,
        Self::Rte,
        Self::Wnli,
    ];

    /// The names of [`ALL`](Self::ALL).
    const NAMES: [&str; 9] = [
        "cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli",
    ];

    /// The name in commands and settings.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl fmt::Display for GlueTask {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GlueTask {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let task = Self::ALL.into_iter().find(|task| task.name() == name);
        task.ok_or_else(|| UnknownName {
            what: "GLUE task",
            found: name.to_owned(),
            known: &Self::NAMES,
        })
    }
}
