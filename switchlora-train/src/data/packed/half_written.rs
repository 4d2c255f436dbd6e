//! A file that has its name when it is whole, and not before.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A file `.NAME.writing` beside its place. It is removed when this is dropped, unless it was published or is to be kept.
#[derive(Debug)]
pub(super) struct HalfWritten {
    path: PathBuf,
    published: bool,
    kept: bool,
}

impl HalfWritten {
    /// An empty file for what will be at `path`, over what a killed process left.
    pub(super) fn create(path: &Path) -> io::Result<(Self, File)> {
        let path = beside(path)?;
        let file = File::create(&path)?;
        let (published, kept) = (false, false);
        let half_written = Self {
            path,
            published,
            kept,
        };
        Ok((half_written, file))
    }

    /// The file that an earlier process left to be gone on with.
    pub(super) fn open(path: &Path) -> io::Result<(Self, File)> {
        let path = beside(path)?;
        let file = File::options().read(true).write(true).open(&path)?;
        let (published, kept) = (false, true);
        let half_written = Self {
            path,
            published,
            kept,
        };
        Ok((half_written, file))
    }

    /// Keeps the file when this is dropped, for another process to go on with.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Gives the file its name, and makes sure that the name is on the disk.
    pub(super) fn publish(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.published = true;
        sync_folder_of(path)
    }
}

/// `.NAME.writing` in the folder of `path`.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        let reason = "the path names no file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    };
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".writing");
    Ok(path.with_file_name(beside))
}

impl Drop for HalfWritten {
    fn drop(&mut self) {
        if !self.published && !self.kept {
            // There is nobody to tell, and the file does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// There, a folder cannot be synced.
#[cfg(windows)]
fn sync_folder_of(_path: &Path) -> io::Result<()> {
    Ok(())
}
