//! A lock on a file, held by one process at a time.
//!
//! The lock is the operating system's: it ends with the process, however the process ends. The process id in the file only
//! serves messages.

use crate::durable::is_missing;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Attempts to open a file that other processes remove. A file system without steady inode numbers must not make it endless.
const ATTEMPTS: u32 = 100;

/// The result of an attempt to take a lock.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// This process holds it.
    Held(Lock),
    /// Another process holds it; its id.
    Taken(String),
    /// The file system has no locks.
    Missing(io::Error),
}

/// A lock that this process holds until drop.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
    /// Whether the file is removed on drop.
    remove: bool,
}

impl Lock {
    /// Tries to take the lock of the file at `path`, which is created if it does not exist. Does not wait.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or locked.
    pub fn attempt(path: &Path) -> io::Result<Attempt> {
        for attempt in 1.. {
            let mut file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut process = String::new();
                    let _ = file.read_to_string(&mut process);
                    let process = match process.trim() {
                        "" => "(just started)".to_owned(),
                        number => number.to_owned(),
                    };
                    return Ok(Attempt::Taken(process));
                }
                Err(TryLockError::Error(error)) => {
                    // Nobody holds an empty file: the holder's id is in it.
                    if file.metadata().is_ok_and(|file| file.len() == 0) {
                        let _ = fs::remove_file(path);
                    }
                    return match is_missing(&error) {
                        true => Ok(Attempt::Missing(error)),
                        false => Err(error),
                    };
                }
            }
            // The process that held it may have removed the file between the two calls.
            if is_at(&file, path) || attempt >= ATTEMPTS {
                write_id(&mut file);
                let path = path.to_path_buf();
                let remove = false;
                return Ok(Attempt::Held(Self { file, path, remove }));
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Sets the time of modification of the file to now, as a sign that the holder works. Some file systems have no times.
    pub fn touch(&self) {
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// Removes the file when the lock ends, on Unix.
    pub fn removed_at_the_end(mut self) -> Self {
        self.remove = cfg!(unix);
        self
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is locked: whoever opened it before sees that it is gone.
        match self.remove {
            true => _ = fs::remove_file(&self.path),
            false => _ = self.file.set_len(0),
        }
        let _ = self.file.unlock();
    }
}

/// Opens the file to write; to read if it belongs to another user, which is enough to lock it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            File::open(path).map_err(|_| error)
        }
        opened => opened,
    }
}

/// Writes the id of this process into the file. It only serves messages, so a failure does no harm.
fn write_id(file: &mut File) {
    let mut write = || -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    let _ = write();
}

/// Whether the open file is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(path: &Path) -> Lock {
        match Lock::attempt(path).unwrap() {
            Attempt::Held(lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lock_is_held_by_one_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mine = held(&path);
        let own = std::process::id().to_string();
        assert!(matches!(Lock::attempt(&path).unwrap(), Attempt::Taken(id) if id == own));
        drop(mine);
        drop(held(&path).removed_at_the_end());
        assert!(!path.exists() || cfg!(not(unix)));
    }

    #[cfg(unix)]
    #[test]
    fn of_many_threads_that_take_and_remove_a_lock_one_at_a_time_holds_it() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let (inside, total) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // An attempt does not wait: how many are in vain is up to the scheduler.
                    let mut times = 0;
                    while times < 100 {
                        let Attempt::Held(lock) = Lock::attempt(&path).unwrap() else {
                            std::thread::yield_now();
                            continue;
                        };
                        let lock = lock.removed_at_the_end();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        total.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                        times += 1;
                    }
                });
            }
        });
        assert_eq!(total.load(Ordering::SeqCst), 400);
    }
}
