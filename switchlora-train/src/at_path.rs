//! A fault of one file or folder, with its path.

use std::path::PathBuf;

/// A fault of one file or folder. The message begins with the path.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", .path.display())]
pub struct AtPath<F> {
    /// The file or folder.
    pub path: PathBuf,
    /// Its fault.
    pub fault: F,
}

impl<F> AtPath<F> {
    /// A fault of the file or folder at `path`.
    pub fn new(path: impl Into<PathBuf>, fault: F) -> Self {
        let path = path.into();
        Self { path, fault }
    }
}
