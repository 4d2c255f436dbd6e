//! Errors of checkpoints.

use super::FOLDER;
use crate::advice::advice;
use crate::at_path::AtPath;
use std::io;
use std::path::PathBuf;

/// A defect of one checkpoint on the disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A file is missing.
    #[error("{file} is missing")]
    Missing {
        /// Name of the file.
        file: String,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read ({reason})")]
    Unreadable {
        /// Name of the file.
        file: String,
        /// The system's error.
        reason: io::Error,
    },
    /// The checksum of a file differs from the manifest.
    #[error("{file} does not match its checksum")]
    Checksum {
        /// Name of the file.
        file: String,
    },
    /// The content of a file is invalid: of the manifest, or of a file that matches its checksum.
    #[error("{file}: {reason}")]
    Content {
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A checkpoint that was not used: its folder and its defect.
pub type Rejected = AtPath<Fault>;

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or folder could not be written.
    #[error("cannot write {}: {reason}; {}", path.display(), advice(reason))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A checkpoint that is not needed any more could not be removed. Nothing is lost but its space.
    #[error("cannot remove {}: {reason}", path.display())]
    Remove {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The checkpoint differs from what was written, right after it was written.
    #[error("{0} right after it was written: {blame}", blame = blame(&.0.fault))]
    Unverified(Rejected),
    /// A file or folder could not be read.
    #[error("cannot read {}: {reason}; {}", path.display(), advice(reason))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// There is nothing at the path.
    #[error("{}: no such run or model: check the path", .0.display())]
    Missing(PathBuf),
    /// The path is a file.
    #[error("{} is a file: give the folder of a run or model", .0.display())]
    AFile(PathBuf),
    /// The path holds no checkpoint.
    #[error("no checkpoint in {}: give a run directory or one of its {FOLDER}/step-… folders", .0.display())]
    None(PathBuf),
    /// The checkpoint that was asked for is damaged.
    #[error("{0}; use another checkpoint")]
    Damaged(Rejected),
    /// Every checkpoint of the run is damaged.
    #[error("no valid checkpoint in {}, tried {}", run.display(), listed(tried))]
    NoneValid {
        /// The run directory.
        run: PathBuf,
        /// The damaged checkpoints, newest first.
        tried: Vec<Rejected>,
    },
}

/// Whose fault it is that a checkpoint cannot be read back.
fn blame(fault: &Fault) -> &'static str {
    match fault {
        // The content is what was written.
        Fault::Content { .. } => "a fault of this program, please report it",
        Fault::Missing { .. } | Fault::Unreadable { .. } | Fault::Checksum { .. } => {
            "the disk does not keep what it is given"
        }
    }
}

fn listed(tried: &[Rejected]) -> String {
    let one = |rejected: &Rejected| {
        let name = rejected.path.file_name().unwrap_or_default();
        format!("{} ({})", name.to_string_lossy(), rejected.fault)
    };
    tried.iter().map(one).collect::<Vec<_>>().join(", ")
}
