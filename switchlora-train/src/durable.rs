//! Writes files and folders that are complete or absent, even if the machine stops.
//!
//! Some file systems (NFS, CIFS, 9p, FUSE) cannot flush a folder or a file, or have no locks. What they cannot do is left out
//! with one warning: `is_missing` says which errors mean that. Any other error is one.

use crate::say::warn;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an error means that the file system has no such operation, and not that the operation failed.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    #[cfg(unix)]
    let number = error.raw_os_error().is_some_and(|number| {
        [
            libc::EINVAL,
            libc::ENOSYS,
            libc::ENOTTY,
            libc::EOPNOTSUPP,
            libc::ENOTSUP,
            libc::ENOLCK,
            libc::EBADF,
        ]
        .contains(&number)
    });
    #[cfg(not(unix))]
    let number = false;
    number || error.kind() == io::ErrorKind::Unsupported
}

/// Flushes a file to the disk.
///
/// # Errors
///
/// The system's error; none where the file system cannot flush.
pub fn sync(file: &File) -> io::Result<()> {
    without_flush(file.sync_all())
}

/// Flushes the content of a file to the disk.
///
/// # Errors
///
/// The system's error; none where the file system cannot flush.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    without_flush(file.sync_data())
}

/// Warns once instead of failing where the file system cannot flush.
fn without_flush(flushed: io::Result<()>) -> io::Result<()> {
    static WARNED: AtomicBool = AtomicBool::new(false);
    match flushed {
        Err(error) if is_missing(&error) => {
            if !WARNED.swap(true, Ordering::Relaxed) {
                warn(format!(
                    "the file system cannot flush files or folders ({error}): what is written last may be lost if the \
                     machine stops"
                ));
            }
            Ok(())
        }
        other => other,
    }
}

/// Writes a temporary file, flushes it, renames it to `path`, and flushes the folder. A reader of `path` gets the old
/// or the new content, never a part. So it does while several processes write it: the last one that renames wins.
///
/// # Errors
///
/// The system's error; the old content is still there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // Each process has a file of its own.
    let beside = hidden(path, &format!("{}.{TEMPORARY}", std::process::id()))?;
    let attempt = || -> io::Result<()> {
        write_flushed(&beside, content)?;
        fs::rename(&beside, path)
    };
    attempt().inspect_err(|_| _ = fs::remove_file(&beside))?;
    sync_folder_of(path)
}

/// Ends the name of a temporary file.
const TEMPORARY: &str = "writing";

/// Whether `entry` is the name of a temporary file of [`write()`] for the file `name`: a process was killed while it wrote.
pub(crate) fn is_temporary(entry: &OsStr, name: &str) -> bool {
    let entry = entry.to_string_lossy();
    entry.starts_with(&format!(".{name}.")) && entry.ends_with(&format!(".{TEMPORARY}"))
}

/// Writes a file and flushes it to the disk.
pub(crate) fn write_flushed(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    sync(&file)
}

/// Creates an empty folder. An older one at `path` is removed with everything in it.
pub(crate) fn empty_folder(path: &Path) -> io::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::create_dir_all(path)
}

/// Whether a folder could not be renamed because the file system renames none, or not this one: across the layers of a
/// container's file system, in a mounted object store.
fn cannot_rename(error: &io::Error) -> bool {
    let kind = error.kind();
    is_missing(error)
        || kind == io::ErrorKind::CrossesDevices
        || kind == io::ErrorKind::PermissionDenied
}

/// Removes a folder that must not be seen half removed: it gets the name `aside` first. Where the file system cannot rename
/// it, `mark`, the file without which it counts for nothing, is removed first.
///
/// # Errors
///
/// The system's error.
pub(crate) fn remove_folder(path: &Path, aside: &Path, mark: &str) -> io::Result<()> {
    if aside.exists() {
        fs::remove_dir_all(aside)?;
    }
    match fs::rename(path, aside) {
        Ok(()) => fs::remove_dir_all(aside),
        Err(error) if cannot_rename(&error) => {
            match fs::remove_file(path.join(mark)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::remove_dir_all(path)
        }
        Err(error) => Err(error),
    }
}

/// Renames a finished folder `beside` to `path`. An existing folder at `path` is moved to `aside` first. It is removed
/// once the new folder is in place, and moved back if that fails.
///
/// Where the file system cannot rename folders, the files are moved one by one, and last of all `mark`, the file without
/// which the folder counts for nothing.
///
/// # Errors
///
/// The system's error.
pub fn put_folder(beside: &Path, path: &Path, aside: &Path, mark: &str) -> io::Result<()> {
    let mut replaces = path.exists();
    if replaces {
        if aside.exists() {
            fs::remove_dir_all(aside)?;
        }
        match fs::rename(path, aside) {
            Err(error) if cannot_rename(&error) => {
                remove_folder(path, aside, mark)?;
                replaces = false;
            }
            renamed => renamed?,
        }
    }
    let put = match fs::rename(beside, path) {
        Err(error) if cannot_rename(&error) => move_files(beside, path, mark).map_err(|_| error),
        renamed => renamed,
    };
    if let Err(error) = put {
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

/// Moves every file of the folder `from` to a new folder `to`, and `mark` last. Without it there is no folder `to`.
fn move_files(from: &Path, to: &Path, mark: &str) -> io::Result<()> {
    fs::create_dir(to)?;
    let attempt = || -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            if name != mark {
                fs::rename(from.join(&name), to.join(&name))?;
            }
        }
        sync_folder(to)?;
        fs::rename(from.join(mark), to.join(mark))?;
        sync_folder(to)
    };
    attempt().inspect_err(|_| _ = fs::remove_dir_all(to))?;
    fs::remove_dir_all(from)
}

/// Flushes a folder's list of entries to the disk, on Unix.
///
/// # Errors
///
/// The system's error; none where the file system cannot flush a folder, or the folder may be written but not read.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        match File::open(folder) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            opened => without_flush(opened.and_then(|folder| folder.sync_all()))?,
        }
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
        let beside = format!(".config.toml.{}.writing", std::process::id());
        assert!(is_temporary(beside.as_ref(), "config.toml"));
        assert!(!is_temporary(beside.as_ref(), "state.json"));
        fs::create_dir(folder.path().join(beside)).unwrap();
        assert!(write(&path, b"newer").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
