//! The run directory, used by one process at a time.
//!
//! The process holds an operating-system lock on `run.lock`. The lock ends with the process, however the process ends.
//! The process id in the file only serves the error message of a second process.

use crate::advice::advice;
use crate::durable;
use crate::lock::{Attempt, Lock};
use crate::say::warn;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// A part of its path is a file.
    #[error("{}: a part of this path is a file; choose another --out", .0.display())]
    UnderAFile(PathBuf),
    /// It contains no run to resume.
    #[error("{} is not a run to resume: it has no {CONFIG} and no checkpoint", .0.display())]
    NoRun(PathBuf),
    /// The system refused.
    #[error("cannot use {}: {reason}; {}", path.display(), advice(reason))]
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
    /// None where the file system has no locks.
    _lock: Option<Lock>,
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
            // A link that leads nowhere is not nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                return check_writable(path).map_err(|reason| system(path, reason));
            }
            // A file, and not a path that leads through one.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory && path.exists() => {
                return Err(RunDirectoryError::NotEmpty(path.to_path_buf()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(RunDirectoryError::UnderAFile(path.to_path_buf()));
            }
            entries => entries.map_err(|reason| system(path, reason))?,
        };
        let mut names = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name());
        // A process killed right after its start leaves these files.
        let ours = |name: &std::ffi::OsString| name == LOCK || durable::is_temporary(name, CONFIG);
        if !names.any(|name| !ours(&name)) {
            return check_writable(path).map_err(|reason| system(path, reason));
        }
        if !path.join(CONFIG).exists() {
            return Err(RunDirectoryError::NotEmpty(path.to_path_buf()));
        }
        // If the run is in use, that error is more useful.
        Self::lock(path)?;
        Err(RunDirectoryError::Exists(path.to_path_buf()))
    }

    /// Checks that folders can be created in `path`, or that it can be created itself.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn check_parent(path: &Path) -> Result<(), RunDirectoryError> {
        check_writable(path).map_err(|reason| system(path, reason))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(path: &Path) -> Result<Self, RunDirectoryError> {
        static WARNED: AtomicBool = AtomicBool::new(false);
        let attempt = Lock::attempt(&path.join(LOCK)).map_err(|reason| system(path, reason))?;
        let path = path.to_path_buf();
        let lock = match attempt {
            // The file stays, so that a dead process is told from none.
            Attempt::Held(lock) => Some(lock),
            Attempt::Taken(process) => return Err(RunDirectoryError::InUse { path, process }),
            Attempt::Missing(error) => {
                if !WARNED.swap(true, Ordering::Relaxed) {
                    warn(format!(
                        "the file system of {} has no locks ({error}): do not start a second process on this run",
                        path.display()
                    ));
                }
                None
            }
        };
        Ok(Self { path, _lock: lock })
    }
}

/// Checks that the folder `path`, or the one in which it would be created, can be written: otherwise it would be found out
/// after the text is read.
fn check_writable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::absolute(path)?;
        let folder = path.ancestors().find(|folder| folder.exists());
        let folder = folder.unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let folder = folder.as_os_str().as_bytes();
        let folder = std::ffi::CString::new(folder)?;
        // SAFETY: the call reads the string, which ends in a zero and lives until the call returns.
        if unsafe { libc::access(folder.as_ptr(), libc::W_OK | libc::X_OK) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
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
