//! Lines and rows that hold no text where it should be: counted, the first few kept with their place, passed over or fatal.

use super::super::DataError;
use clap::ValueEnum;
use std::path::Path;

/// How many are kept to be shown.
const SHOWN: usize = 5;

/// What is done about a malformed line or row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum OnMalformed {
    /// It is counted and passed over.
    #[default]
    Skip,
    /// It ends the work.
    Fail,
}

/// Malformed lines and rows so far.
#[derive(Clone, Debug, Default)]
pub struct Malformed {
    on: OnMalformed,
    /// How many.
    pub count: u64,
    /// The first few, each with file, place and reason.
    pub first: Vec<String>,
}

impl Malformed {
    pub(super) fn new(on: OnMalformed, count: u64) -> Self {
        Self {
            on,
            count,
            first: Vec::new(),
        }
    }

    /// One more, at `place` (`line 7`) of a file.
    pub(super) fn add(
        &mut self,
        path: &Path,
        place: impl FnOnce() -> String,
        reason: impl FnOnce() -> String,
    ) -> Result<(), DataError> {
        if self.on == OnMalformed::Fail {
            return Err(DataError::Malformed {
                path: path.to_path_buf(),
                place: place(),
                reason: reason(),
            });
        }
        if self.first.len() < SHOWN {
            let (path, place, reason) = (path.display(), place(), reason());
            self.first.push(format!("{path}: {place}: {reason}"));
        }
        self.count += 1;
        Ok(())
    }
}
