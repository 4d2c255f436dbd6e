//! Opens files that must have a length, an order and a second reading: weights, packed tokens, checkpoints, tables.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Opens a file for reading. A pipe without a writer does not block it.
///
/// # Errors
///
/// The system's error, [`ErrorKind::IsADirectory`], or [`ErrorKind::NotSeekable`] for a pipe or a device.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    of(path, OpenOptions::new().read(true))
}

/// Opens a file to write at its end, and creates it if it does not exist. A pipe without a reader does not block it.
///
/// # Errors
///
/// As [`open`].
pub(crate) fn append(path: &Path) -> io::Result<File> {
    of(path, OpenOptions::new().append(true).create(true))
}

fn of(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    match file.metadata()? {
        metadata if metadata.is_file() => Ok(file),
        metadata if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Err(ErrorKind::NotSeekable.into()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn pipes_and_folders_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let kind = |path| open(path).unwrap_err().kind();
        assert_eq!(kind(&pipe), ErrorKind::NotSeekable);
        assert_eq!(kind(folder.path()), ErrorKind::IsADirectory);
        assert!(append(&pipe).is_err() && append(folder.path()).is_err());
        append(&folder.path().join("file")).unwrap();
        open(&folder.path().join("file")).unwrap();
    }
}
