//! Writes files and folders that are complete or absent, even if the machine stops.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a temporary file, flushes it, renames it to `path`, and flushes the folder. A reader of `path` gets the old
/// or the new content, never a part.
///
/// # Errors
///
/// The system's error; the old content is still there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = hidden(path, "writing")?;
    let attempt = || -> io::Result<()> {
        write_flushed(&beside, content)?;
        fs::rename(&beside, path)
    };
    attempt().inspect_err(|_| _ = fs::remove_file(&beside))?;
    sync_folder_of(path)
}

/// Writes a file and flushes it to the disk.
pub(crate) fn write_flushed(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Creates an empty folder. An older one at `path` is removed with everything in it.
pub(crate) fn empty_folder(path: &Path) -> io::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::create_dir_all(path)
}

/// Renames a finished folder `beside` to `path`. An existing folder at `path` is moved to `aside` first. It is removed
/// once the new folder is in place, and moved back if that fails.
///
/// # Errors
///
/// The system's error.
pub fn put_folder(beside: &Path, path: &Path, aside: &Path) -> io::Result<()> {
    let replaces = path.exists();
    if replaces {
        if aside.exists() {
            fs::remove_dir_all(aside)?;
        }
        fs::rename(path, aside)?;
    }
    if let Err(error) = fs::rename(beside, path) {
        if replaces {
            fs::rename(aside, path)?;
        }
        return Err(error);
    }
    sync_folder_of(path)?;
    match replaces {
        true => fs::remove_dir_all(aside),
        false => Ok(()),
    }
}

/// Flushes a folder's list of entries to the disk, on Unix.
///
/// # Errors
///
/// The system's error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Flushes the folder that contains `path`.
///
/// # Errors
///
/// The system's error.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// `.NAME.suffix` in the folder of `path`, where NAME is the file name of `path`.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] if `path` has no file name.
pub(crate) fn hidden(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        let reason = "the path names no file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(suffix);
    Ok(path.with_file_name(hidden))
}

/// Drops a flushed file from the page cache, on Linux, so that later reads come from the disk.
pub fn forget_cached(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // SAFETY: the call takes only numbers, and the descriptor is open while `file` is borrowed.
        unsafe {
            libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_a_failed_write_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");

        // A folder blocks the name of the temporary file.
        fs::create_dir(folder.path().join(".config.toml.writing")).unwrap();
        assert!(write(&path, b"newer").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
