//! Warm start: full-rank training before the method begins.

use serde::{Deserialize, Serialize};
use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

/// Full-rank training before the method begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WarmStart {
    /// The run's first updates, as many as this number.
    Updates(u64),
    /// Start from the weights of a run directory or a checkpoint; its factors, if any, are merged.
    From(PathBuf),
}

impl FromStr for WarmStart {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text.parse() {
            Ok(updates) => Ok(Self::Updates(updates)),
            // Digits only, so it is not meant as a path.
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => Err(error),
            Err(_) => Ok(Self::From(PathBuf::from(text))),
        }
    }
}
