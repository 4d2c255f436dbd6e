//! A file that gets its name when it is complete.

use crate::durable::{hidden, sync_folder_of};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The temporary file `.NAME.writing` of a file NAME. It is removed on drop, unless it was published or kept.
#[derive(Debug)]
pub(super) struct HalfWritten {
    path: PathBuf,
    remove: bool,
}

impl HalfWritten {
    /// Creates the temporary file of `path`. A file left by a killed process is overwritten.
    pub(super) fn create(path: &Path) -> io::Result<(Self, File)> {
        let path = hidden(path, "writing")?;
        let file = File::create(&path)?;
        Ok((Self { path, remove: true }, file))
    }

    /// Opens the temporary file that an earlier process kept, and keeps it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, File)> {
        let path = hidden(path, "writing")?;
        let file = File::options().read(true).write(true).open(&path)?;
        let remove = false;
        Ok((Self { path, remove }, file))
    }

    /// Keeps the temporary file on drop, so that another process can continue it.
    pub(super) fn keep(&mut self) {
        self.remove = false;
    }

    /// Renames the temporary file to `path`, and flushes the folder.
    pub(super) fn publish(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.remove = false;
        sync_folder_of(path)
    }
}

impl Drop for HalfWritten {
    fn drop(&mut self) {
        if self.remove {
            // A file that cannot be removed does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}
