//! Saves the progress of packing in `.NAME.progress` beside the output file, so that it resumes after a kill.

use super::super::packed::WriterState;
use super::super::read::Input;
use super::parts::Position;
use crate::durable::{self, hidden};
use crate::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::Path;

/// Format version of the file.
const FORMAT: u32 = 1;

/// A position up to which everything is on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    format: u32,
    /// [`key`] of the work.
    key: String,
    /// Position in the inputs.
    pub position: Position,
    /// Training and validation documents that end before the position.
    pub documents: [u64; 2],
    /// Bytes of text before the position.
    pub bytes: u64,
    /// States of the training and validation writers.
    pub writers: [Option<WriterState>; 2],
}

impl Progress {
    /// The progress before the first document.
    pub fn none(key: String) -> Self {
        Self {
            format: FORMAT,
            key,
            position: Position::default(),
            documents: [0; 2],
            bytes: 0,
            writers: [None, None],
        }
    }

    /// Loads the progress of the work `key` on the output `out`. `None` if there is none, or it is of other work.
    pub fn load(out: &Path, key: &str) -> Option<Self> {
        let text = fs::read(hidden(out, "progress").ok()?).ok()?;
        let progress: Self = serde_json::from_slice(&text).ok()?;
        (progress.format == FORMAT && progress.key == key).then_some(progress)
    }

    /// Whether progress on the output `out` is saved, of whatever work.
    pub fn exists(out: &Path) -> bool {
        hidden(out, "progress").is_ok_and(|file| file.exists())
    }

    /// Writes the progress durably.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn save(&self, out: &Path) -> io::Result<()> {
        durable::write(&hidden(out, "progress")?, &serde_json::to_vec(self)?)
    }

    /// Removes the file once the work is done.
    pub fn remove(out: &Path) {
        // A file that stays does no harm: other work on `out` has another key.
        let _ = hidden(out, "progress").and_then(fs::remove_file);
    }
}

/// Identifies a piece of work by its inputs, including sizes and times of modification, and everything else that the
/// output depends on.
pub(super) fn key(inputs: &[Input], options: &[&dyn std::fmt::Debug]) -> String {
    let mut sha = Sha256::new();
    sha.update(format!("{FORMAT} {inputs:?} {options:?}"));
    hexadecimal(sha.finalize())
}
