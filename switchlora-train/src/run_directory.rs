//! The run directory, used by one process at a time.
//!
//! The process holds an operating-system lock on `run.lock`. The lock ends with the process, however the process ends.
//! The process id in the file only serves the error message of a second process.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Name of the experiment's file. A folder that contains it is a run.
pub const CONFIG: &str = "config.toml";
/// Name of the locked file.
const LOCK: &str = "run.lock";

/// Why this process cannot use a folder as its run directory.
#[derive(Debug, thiserror::Error)]
pub enum RunDirectoryError {
    /// Another process uses it.
    #[error("{} is in use by process {process}: wait for it to end, stop it, or choose another --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The id of that process, from the lock file.
        process: String,
    },
    /// It contains a run.
    #[error("{} exists: add --resume to continue the run, or choose another --out", .0.display())]
    Exists(PathBuf),
    /// It contains something other than a run.
    #[error("{} exists and is not a run: choose another --out", .0.display())]
    NotEmpty(PathBuf),
    /// It contains no run to resume.
    #[error("{} is not a run to resume: it has no {CONFIG} and no checkpoint", .0.display())]
    NoRun(PathBuf),
    /// The system refused.
    #[error("cannot use {}: {reason}", path.display())]
    System {
        /// The folder.
        path: PathBuf,
        /// The system's message.
        reason: io::Error,
    },
}

/// A run directory that this process holds until drop.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    lock: File,
}

impl RunDirectory {
    /// Takes a folder for a new run. Creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// The folder contains a run or anything else, another process holds it, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, RunDirectoryError> {
        Self::check_new(path)?;
        fs::create_dir_all(path).map_err(|reason| system(path, reason))?;
        let taken = Self::lock(path)?;
        // Another process may have created a run here in the meantime, and ended.
        match path.join(CONFIG).exists() {
            true => Err(RunDirectoryError::Exists(path.to_path_buf())),
            false => Ok(taken),
        }
    }

    /// Takes the first free folder of `name(1)`, `name(2)`, … for a new run.
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

    /// Takes the folder of a run to resume.
    ///
    /// # Errors
    ///
    /// The folder does not exist, another process holds it, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, RunDirectoryError> {
        if !path.is_dir() {
            return Err(RunDirectoryError::NoRun(path.to_path_buf()));
        }
        Self::lock(path)
    }

    /// Checks that a new run can be created in `path`.
    ///
    /// # Errors
    ///
    /// The folder contains a run or anything else, another process holds it, or the system refuses.
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
        // A process killed right after its start leaves these files.
        let ours = |name: &std::ffi::OsString| name == LOCK || name == ".config.toml.writing";
        if !names.any(|name| !ours(&name)) {
            return Ok(());
        }
        if !path.join(CONFIG).exists() {
            return Err(RunDirectoryError::NotEmpty(path.to_path_buf()));
        }
        // If the run is in use, that error is more useful.
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
                    "" => "(just started)".to_owned(),
                    number => number.to_owned(),
                };
                let path = path.to_path_buf();
                return Err(RunDirectoryError::InUse { path, process });
            }
            // The file system has no locks: run without one.
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
        // The file stays: if it were removed while another process opens it, two processes could hold a lock.
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
