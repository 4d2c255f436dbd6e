//! Malformed lines and rows, which have no text in the expected field: counted and skipped, or an error.

use super::super::DataError;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Number of malformed lines kept for the report.
const SHOWN: usize = 5;

/// Treatment of malformed lines and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum OnMalformed {
    /// Count and skip them
    #[default]
    Skip,
    /// Stop with an error
    Fail,
}

/// Malformed lines and rows so far.
#[derive(Clone, Debug, Default)]
pub struct Malformed {
    on: OnMalformed,
    /// Number of malformed lines and rows.
    pub count: u64,
    /// The first five, each with file, line or row, and reason.
    pub first: Vec<String>,
    /// Files beside the data of a folder that are no data: README, LICENSE and the like.
    pub companions: Vec<PathBuf>,
}

impl Malformed {
    pub(in crate::data) fn new(on: OnMalformed, count: u64) -> Self {
        Self {
            on,
            count,
            first: Vec::new(),
            companions: Vec::new(),
        }
    }

    /// Adds a malformed line or row at `place` (for example `line 7`) of a file.
    ///
    /// # Errors
    ///
    /// [`DataError::Malformed`] with [`OnMalformed::Fail`].
    pub(in crate::data) fn add(
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
