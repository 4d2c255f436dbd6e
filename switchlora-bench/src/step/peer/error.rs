//! Errors of the comparison with PyTorch.

use std::io;

/// Why PyTorch's updates cannot be timed.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Python cannot be started.
    #[error("cannot start {python}: {reason}; name one with --python")]
    Start {
        /// The program.
        python: String,
        /// The system's message.
        reason: io::Error,
    },
    /// The process ended; most often because a package is missing.
    #[error("{python} ended: {said}; it needs the packages torch, transformers and peft")]
    Ended {
        /// The program.
        python: String,
        /// The last line of its standard error.
        said: String,
    },
    /// The process printed something other than times.
    #[error("{python} printed something other than times: {reason}")]
    Answer {
        /// The program.
        python: String,
        /// The parser's message.
        reason: serde_json::Error,
    },
}
