//! Why updates cannot be compared with PyTorch's.

use std::io;

/// Why there is no peer to compare with.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Python itself.
    #[error("cannot start {python}: {reason}; name one with --python")]
    Start {
        /// The program.
        python: String,
        /// What the system said.
        reason: io::Error,
    },
    /// It ended: most often, a package is missing.
    #[error("{python} ended: {said}; it needs the packages torch, transformers and peft")]
    Ended {
        /// The program.
        python: String,
        /// The last line it wrote to its standard error.
        said: String,
    },
    /// It answered something else than times.
    #[error("{python} answered something else than times: {reason}")]
    Answer {
        /// The program.
        python: String,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
}
