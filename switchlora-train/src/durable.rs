//! Files that are there in full or not at all, whenever the machine stops.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file beside, flushes it, renames it, and flushes its folder: whoever reads `path` reads the old or the new
/// content, never a part.
///
/// # Errors
///
/// What the system said; the old content is still there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.writing"));
    let attempt = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    attempt().inspect_err(|_| _ = fs::remove_file(&beside))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Gives a finished folder `beside` the name `path`. A folder that has the name already is moved to `aside` first, and is
/// removed once the new one is in its place; if that fails, it is put back.
///
/// # Errors
///
/// What the system said.
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
    sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    match replaces {
        true => fs::remove_dir_all(aside),
        false => Ok(()),
    }
}

/// A folder's own list of entries reaches the disk.
///
/// # Errors
///
/// What the system said.
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

/// What is read of a flushed file from now on comes from the disk instead of the system's memory, where that can be asked
/// for.
pub fn forget_cached(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // SAFETY: the call takes numbers only, and the descriptor is open for as long as `file` is borrowed.
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

        // A folder in the way of the file beside.
        fs::create_dir(folder.path().join(".config.toml.writing")).unwrap();
        assert!(write(&path, b"newer").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
