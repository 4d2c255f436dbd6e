//! The run directory, which belongs to one process at a time.
//!
//! The process holds a lock of the operating system on `run.lock`, which ends with the process however that ends: a lock
//! that was left behind is nobody's. The number in the file is for the message to whoever comes second.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Name of the experiment's file: a folder that holds one is a run.
pub const CONFIG: &str = "config.toml";
/// Name of the file that is locked.
const LOCK: &str = "run.lock";

/// Why a folder cannot be a run of this process.
#[derive(Debug, thiserror::Error)]
pub enum RunDirectoryError {
    /// Another process runs in it.
    #[error("{} is in use by process {process}: wait for it to end, stop it, or choose another --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The number of the process, as it wrote it down.
        process: String,
    },
    /// There is a run in it already.
    #[error("{} exists: add --resume to go on with it, or choose another --out", .0.display())]
    Exists(PathBuf),
    /// There is something else in it.
    #[error("{} exists and is not a run: choose another --out", .0.display())]
    NotEmpty(PathBuf),
    /// There is no run in it to go on with.
    #[error("{} is not a run to go on with: it has no {CONFIG} and no checkpoint", .0.display())]
    NoRun(PathBuf),
    /// The system refused.
    #[error("cannot use {}: {reason}", path.display())]
    System {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}

/// A run directory that is this process's until it is dropped.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    lock: File,
}

impl RunDirectory {
    /// Takes a folder for a new run, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// There is a run or anything else in it, another process has it, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, RunDirectoryError> {
        Self::check_new(path)?;
        fs::create_dir_all(path).map_err(|reason| system(path, reason))?;
        let taken = Self::lock(path)?;
        // Another process may have been quicker, and may have ended since.
        match path.join(CONFIG).exists() {
            true => Err(RunDirectoryError::Exists(path.to_path_buf())),
            false => Ok(taken),
        }
    }

    /// As [`create`](Self::create), in the first folder `name(1)`, `name(2)`, … that is free.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn create_first(name: impl Fn(u32) -> PathBuf) -> Result<Self, RunDirectoryError> {
        let mut number = 1;
        loop {
            match Self::create(&name(number)) {
                Err(
                    RunDirectoryError::Exists(_)
                    | RunDirectoryError::NotEmpty(_)
                    | RunDirectoryError::InUse { .. },
                ) => number += 1,
                other => return other,
            }
        }
    }

    /// Takes the folder of a run to go on with.
    ///
    /// # Errors
    ///
    /// There is no folder, another process has it, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, RunDirectoryError> {
        if !path.is_dir() {
            return Err(RunDirectoryError::NoRun(path.to_path_buf()));
        }
        Self::lock(path)
    }

    /// Whether a new run could be made in `path`.
    ///
    /// # Errors
    ///
    /// It could not: says why.
    pub fn check_new(path: &Path) -> Result<(), RunDirectoryError> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(RunDirectoryError::NotEmpty(path.to_path_buf()));
            }
            entries => entries.map_err(|reason| system(path, reason))?,
        };
        let mut names = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name());
        // A process that is killed at the very beginning leaves these.
        let ours = |name: &std::ffi::OsString| name == LOCK || name == ".config.toml.writing";
        if !names.any(|name| !ours(&name)) {
            return Ok(());
        }
        if !path.join(CONFIG).exists() {
            return Err(RunDirectoryError::NotEmpty(path.to_path_buf()));
        }
        // Of one that is running, that is the more useful answer.
        Self::lock(path)?;
        Err(RunDirectoryError::Exists(path.to_path_buf()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(path: &Path) -> Result<Self, RunDirectoryError> {
        let failed = |reason| system(path, reason);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let _ = lock.read_to_string(&mut process);
                let process = match process.trim() {
                    "" => "(it is just beginning)".to_owned(),
                    number => number.to_owned(),
                };
                let path = path.to_path_buf();
                return Err(RunDirectoryError::InUse { path, process });
            }
            // A file system without locks: better to run than not to.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let write = |lock: &mut File| -> io::Result<()> {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        write(&mut lock).map_err(failed)?;
        let path = path.to_path_buf();
        Ok(Self { path, lock })
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // The file stays: to remove it while another process opens it would give two of them a lock.
        let _ = self.lock.set_len(0);
        let _ = self.lock.unlock();
    }
}

fn system(path: &Path, reason: io::Error) -> RunDirectoryError {
    let path = path.to_path_buf();
    RunDirectoryError::System { path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/run");
        let mine = RunDirectory::create(&path).unwrap();
        let error = RunDirectory::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}:", std::process::id())),
            "{error}"
        );
        drop(mine);
        RunDirectory::open(&path).unwrap();
    }

    #[test]
    fn a_lock_that_a_dead_process_left_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "4194304\n").unwrap();
        let mine = RunDirectory::create(folder.path()).unwrap();
        let written = fs::read_to_string(folder.path().join(LOCK)).unwrap();
        assert_eq!(written.trim(), std::process::id().to_string());
        drop(mine);
    }

    #[test]
    fn what_is_not_an_empty_folder_is_not_taken_for_a_new_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("thesis.tex"), "").unwrap();
        let create = |path: &Path| RunDirectory::create(path).unwrap_err();
        assert!(matches!(create(path), RunDirectoryError::NotEmpty(_)));
        assert!(matches!(
            create(&path.join("thesis.tex")),
            RunDirectoryError::NotEmpty(_)
        ));
        fs::write(path.join(CONFIG), "").unwrap();
        assert!(matches!(create(path), RunDirectoryError::Exists(_)));
        let missing = RunDirectory::open(&path.join("missing")).unwrap_err();
        assert!(matches!(missing, RunDirectoryError::NoRun(_)));
    }

    #[test]
    fn the_first_free_number_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let name = |number| folder.path().join(format!("run-{number}"));
        fs::create_dir(name(1)).unwrap();
        fs::write(name(1).join(CONFIG), "").unwrap();
        let two = RunDirectory::create_first(name).unwrap();
        let three = RunDirectory::create_first(name).unwrap();
        assert_eq!((two.path(), three.path()), (&*name(2), &*name(3)));
    }
}
