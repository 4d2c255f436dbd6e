//! What a killed process leaves behind, so that the next goes on: `.NAME.progress` beside the file that is being written.

use super::super::packed::WriterState;
use super::inputs::Input;
use super::parts::Position;
use crate::durable;
use crate::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Version of the format.
const FORMAT: u32 = 1;

/// A place up to which everything is on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    format: u32,
    /// Of the work it belongs to.
    key: String,
    /// The place in the inputs.
    pub position: Position,
    /// Documents that end before it, to train on and held out.
    pub documents: [u64; 2],
    /// Bytes of their text.
    pub bytes: u64,
    /// The files, as far as they are written.
    pub writers: [Option<WriterState>; 2],
}

impl Progress {
    /// Nothing done yet.
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

    /// What is known about the work `key` on the file `out`.
    pub fn load(out: &Path, key: &str) -> Option<Self> {
        let text = fs::read(path(out)).ok()?;
        let progress: Self = serde_json::from_slice(&text).ok()?;
        (progress.format == FORMAT && progress.key == key).then_some(progress)
    }

    /// Writes it down.
    pub fn save(&self, out: &Path) -> io::Result<()> {
        durable::write(&path(out), &serde_json::to_vec(self)?)
    }

    /// Removes what was written down, once it is not needed any more.
    pub fn remove(out: &Path) {
        // If it stays it does no harm: the next work on the file has another key, or is the same.
        let _ = fs::remove_file(path(out));
    }
}

fn path(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".{name}.progress"))
}

/// Names a piece of work: its inputs, as they are on the disk now, and everything that the output depends on.
pub(super) fn key(inputs: &[Input], options: &[&dyn std::fmt::Debug]) -> String {
    let mut sha = Sha256::new();
    sha.update(format!("{FORMAT} {inputs:?} {options:?}"));
    hexadecimal(sha.finalize())
}
