//! Warm start: full-rank training before the method begins.

use serde::{Deserialize, Serialize};
use std::convert::Infallible;
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
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(updates) => Self::Updates(updates),
            Err(_) => Self::From(PathBuf::from(text)),
        })
    }
}
