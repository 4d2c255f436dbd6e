//! The open file of a reader. It detects deletion, replacement and truncation.

use crate::regular_file;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::positional::{is_unlinked, read_exact_at};
use super::{PackedError, PackedFault};

/// An open file, its path, and its length when it was opened.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Source {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Missing`] or [`PackedFault::Read`].
    pub(super) fn open(path: &Path) -> Result<Self, PackedError> {
        let file = regular_file::open(path).map_err(|reason| match reason.kind() {
            io::ErrorKind::NotFound => PackedError::new(path, PackedFault::Missing),
            _ => refused(path, 0, reason),
        })?;
        let length = metadata(&file, path)?.len();
        let path = path.to_path_buf();
        Ok(Self { file, path, length })
    }

    /// The path as it was given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The error of a fault of this file.
    pub(super) fn failed(&self, fault: PackedFault) -> PackedError {
        PackedError::new(&self.path, fault)
    }

    /// The error of a read at `offset` that failed.
    pub(super) fn refused(&self, offset: u64, reason: io::Error) -> PackedError {
        refused(&self.path, offset, reason)
    }

    /// Length in bytes when it was opened.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Replaces `bytes` by the `length` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// Those of [`check_unchanged`](Self::check_unchanged) if the file changed, else [`PackedFault::Read`].
    pub(super) fn read(
        &self,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), PackedError> {
        bytes.clear();
        bytes
            .try_reserve_exact(length)
            .map_err(|reason| self.refused(offset, reason.into()))?;
        bytes.resize(length, 0);
        read_exact_at(&self.file, bytes, offset).or_else(|reason| {
            // A changed file explains a short read better than the system's message.
            self.check_unchanged(offset)?;
            Err(self.refused(offset, reason))
        })
    }

    /// Checks that the file still has a name and its length, before a read at `offset`.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Vanished`] or [`PackedFault::Truncated`].
    pub(super) fn check_unchanged(&self, offset: u64) -> Result<(), PackedError> {
        let metadata = metadata(&self.file, &self.path)?;
        if is_unlinked(&metadata) {
            return Err(self.failed(PackedFault::Vanished { offset }));
        }
        if metadata.len() != self.length {
            let (expected, found) = (self.length, metadata.len());
            return Err(self.failed(PackedFault::Truncated {
                offset: expected.min(found),
                expected,
                found,
            }));
        }
        Ok(())
    }
}

fn metadata(file: &File, path: &Path) -> Result<Metadata, PackedError> {
    file.metadata().map_err(|reason| refused(path, 0, reason))
}

fn refused(path: &Path, offset: u64, reason: io::Error) -> PackedError {
    PackedError::new(path, PackedFault::Read { offset, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str) -> (tempfile::TempDir, PathBuf, Source) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, b"0123456789").unwrap();
        let source = Source::open(&path).unwrap();
        (folder, path, source)
    }

    fn shorten(path: &Path, length: u64) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(length).unwrap();
    }

    #[test]
    fn a_file_that_is_cut_short_between_the_check_and_the_read_is_truncated_too() {
        let (_folder, path, source) = open("a");
        source.check_unchanged(0).unwrap();
        shorten(&path, 6);
        let error = source.read(4, 4, &mut Vec::new()).unwrap_err();
        assert!(matches!(
            error.fault,
            PackedFault::Truncated {
                offset: 6,
                expected: 10,
                found: 6,
                ..
            }
        ));
    }

    #[test]
    fn a_length_that_cannot_be_allocated_is_an_error() {
        let (_folder, _path, source) = open("a");
        let error = source.read(0, usize::MAX, &mut Vec::new()).unwrap_err();
        assert!(matches!(error.fault, PackedFault::Read { offset: 0, .. }));
    }

    #[test]
    fn what_is_not_there_is_missing_and_a_folder_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Source::open(&folder.path().join("a")).unwrap_err();
        assert!(matches!(missing.fault, PackedFault::Missing));
        let refused = Source::open(folder.path()).unwrap_err();
        assert!(matches!(refused.fault, PackedFault::Read { .. }));
    }
}
