//! Everything that can go wrong with a checkpoint.

use super::FOLDER;
use std::fmt::{self, Display};
use std::io;
use std::path::PathBuf;

/// What is wrong with one checkpoint on the disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A file of it is not there.
    #[error("{file} is missing")]
    Missing {
        /// Name of the file.
        file: String,
    },
    /// A file of it cannot be read.
    #[error("{file} cannot be read ({reason})")]
    Unreadable {
        /// Name of the file.
        file: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The manifest is not one.
    #[error("{file}: {reason}")]
    Manifest {
        /// Name of the manifest.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file does not have the checksum of the manifest.
    #[error("{file} does not match its checksum")]
    Checksum {
        /// Name of the file.
        file: String,
    },
    /// A file matches its checksum and still does not hold what it should.
    #[error("{file}: {reason}")]
    Content {
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A checkpoint that was not used, and why.
#[derive(Debug)]
pub struct Rejected {
    /// Its folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.fault)
    }
}

/// Why there is no checkpoint to write or to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or folder could not be written.
    #[error("cannot write {}: {reason}; free some space (or --keep fewer checkpoints), or make it writable", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// What was written is not what is on the disk.
    #[error("{rejected} right after it was written: the disk does not keep what it is given")]
    Unverified {
        /// The checkpoint.
        rejected: Rejected,
    },
    /// A file or folder could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// What was being read.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// There is no checkpoint there.
    #[error("no checkpoint in {}: give a run directory or one of its {FOLDER}/step-… folders", .0.display())]
    None(PathBuf),
    /// The one checkpoint that was asked for is damaged.
    #[error("{0}; use another checkpoint")]
    Damaged(Rejected),
    /// None of the checkpoints there are is whole.
    #[error("no valid checkpoint in {}, tried {}", run.display(), listed(tried))]
    NoneValid {
        /// The run directory.
        run: PathBuf,
        /// What was tried, newest first.
        tried: Vec<Rejected>,
    },
}

fn listed(tried: &[Rejected]) -> String {
    let one = |rejected: &Rejected| {
        let name = rejected.path.file_name().unwrap_or_default();
        format!("{} ({})", name.to_string_lossy(), rejected.fault)
    };
    tried.iter().map(one).collect::<Vec<_>>().join(", ")
}
