//! The checkpoints of a run: the list, the newest valid one, and removal of old ones.

use super::{Checkpoint, CheckpointError, FOLDER, Fault, MANIFEST, Rejected, folder};
use crate::durable::remove_folder;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The newest valid checkpoint of a run, and newer ones that are damaged.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint; every file matches its checksum.
    pub checkpoint: Checkpoint,
    /// Newer checkpoints that are damaged, newest first.
    pub rejected: Vec<Rejected>,
}

/// Checkpoints of a run by step, oldest first. Other names are ignored.
///
/// # Errors
///
/// The folder cannot be read. A missing folder is not an error.
pub fn list(run: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let paths = entries(&run.join(FOLDER))?.into_iter();
    let mut found: Vec<_> = paths
        .filter_map(|path| Some((folder::step(&path)?, path)))
        .collect();
    found.sort();
    Ok(found)
}

/// The newest checkpoint of `run`, whose files are not read through; `None` if there is none that can be opened.
pub fn newest(run: &Path) -> Option<Checkpoint> {
    let (_, path) = list(run).ok()?.pop()?;
    Checkpoint::open(&path).ok()
}

/// Whether `run` has a checkpoint of update `step`, valid or damaged.
pub fn exists(run: &Path, step: u64) -> bool {
    folder::whole(&run.join(FOLDER), step).is_dir()
}

/// The newest valid checkpoint of `run`; `None` if it has no checkpoint.
///
/// # Errors
///
/// [`CheckpointError::NoneValid`] if there are checkpoints and all are damaged; [`CheckpointError::Read`] if the system
/// refuses to open a file of the newest, which says nothing about what it holds.
pub fn newest_valid(run: &Path) -> Result<Option<Found>, CheckpointError> {
    let mut rejected = Vec::new();
    for (_, path) in list(run)?.into_iter().rev() {
        match whole(&path) {
            Ok(checkpoint) => {
                return Ok(Some(Found {
                    checkpoint,
                    rejected,
                }));
            }
            // What it holds is not known, and an older one would take its place.
            Err(Fault::Unreadable { file, reason }) if is_refused(&reason) => {
                let path = path.join(file);
                return Err(CheckpointError::Read { path, reason });
            }
            Err(fault) => rejected.push(Rejected { path, fault }),
        }
    }
    match rejected.is_empty() {
        true => Ok(None),
        false => Err(CheckpointError::NoneValid {
            run: run.to_path_buf(),
            tried: rejected,
        }),
    }
}

/// Whether an error is one of the process or the connection, and not of the file: another attempt may succeed.
fn is_refused(reason: &io::Error) -> bool {
    #[cfg(unix)]
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];
    #[cfg(not(unix))]
    let exhausted: [i32; 0] = [];
    matches!(
        reason.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::StaleNetworkFileHandle
            | io::ErrorKind::TimedOut
    ) || reason
        .raw_os_error()
        .is_some_and(|number| exhausted.contains(&number))
}

/// Opens the checkpoint at `path`, or the newest valid one if `path` is a run directory.
fn resolve(path: &Path) -> Result<Found, CheckpointError> {
    if folder::step(path).is_some() || path.join(MANIFEST).exists() {
        let path = path.to_path_buf();
        if !path.is_dir() {
            return Err(CheckpointError::None(path));
        }
        let damaged = |fault| CheckpointError::Damaged(Rejected::new(&path, fault));
        return Ok(Found {
            checkpoint: whole(&path).map_err(damaged)?,
            rejected: Vec::new(),
        });
    }
    newest_valid(path)?.ok_or_else(|| CheckpointError::None(path.to_path_buf()))
}

/// Opens the checkpoint at `path`, or the newest valid one if `path` is a run directory, and [holds](Checkpoint::hold) its
/// weights. A run that is training removes checkpoints: if it removes the one that is being opened, the newest is chosen
/// again.
///
/// # Errors
///
/// There is no checkpoint, or it is damaged.
pub fn resolve_and_hold(path: &Path) -> Result<Found, CheckpointError> {
    if path.is_file() {
        return Err(CheckpointError::AFile(path.to_path_buf()));
    }
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(CheckpointError::Missing(path.to_path_buf())),
        Err(reason) => {
            let path = path.to_path_buf();
            return Err(CheckpointError::Read { path, reason });
        }
    }
    loop {
        let before = list(path)?;
        let held = resolve(path).and_then(|mut found| match found.checkpoint.hold() {
            Ok(()) => Ok(found),
            Err(fault) => {
                let rejected = Rejected::new(found.checkpoint.path(), fault);
                Err(CheckpointError::Damaged(rejected))
            }
        });
        let again = match &held {
            // A checkpoint that is named has no list; a run that is not training has always the same.
            Err(_) => list(path)? != before,
            // An older one that is kept for its loss would take the place of the newest.
            Ok(found) => {
                let gone = |rejected: &Rejected| !rejected.path.exists();
                found.rejected.iter().any(gone) && list(path)? != before
            }
        };
        if !again {
            return held;
        }
    }
}

/// Renames damaged checkpoints to `….damaged`, so that they are neither tried again nor counted among those to keep.
/// Their files stay.
///
/// # Errors
///
/// A folder cannot be renamed.
pub fn set_aside(rejected: &[Rejected]) -> Result<(), CheckpointError> {
    for Rejected { path, .. } in rejected {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let names = (1..).map(|n: u32| match n {
            1 => format!("{name}.damaged"),
            n => format!("{name}.damaged-{n}"),
        });
        let mut names = names.map(|name| path.with_file_name(name));
        let Some(aside) = names.find(|aside| !aside.exists()) else {
            continue;
        };
        fs::rename(path, aside).map_err(|reason| CheckpointError::Write {
            path: path.clone(),
            reason,
        })?;
    }
    Ok(())
}

/// Removes all but the `keep` newest checkpoints of `run` and the one of step `best`. Call it after a newer one is
/// verified. Returns a [`CheckpointError::Remove`] for each that cannot be removed.
///
/// # Errors
///
/// The folder could not be read.
pub fn prune(
    run: &Path,
    keep: usize,
    best: Option<u64>,
) -> Result<Vec<CheckpointError>, CheckpointError> {
    let all = list(run)?;
    let old = all.len().saturating_sub(keep.max(1));
    let old = all.into_iter().take(old);
    let unneeded = old.filter(|&(step, _)| Some(step) != best);
    let left = unneeded.filter_map(|(step, path)| {
        let reason = remove(&path, step).err()?;
        Some(CheckpointError::Remove { path, reason })
    });
    Ok(left.collect())
}

/// Removes folders that a killed process left half written or half removed, and restores the ones it had moved away.
/// Only the holder of the run's lock may call it. Returns a [`CheckpointError::Remove`] for each that cannot be removed.
///
/// # Errors
///
/// The folder could not be read, or a checkpoint could not be restored.
pub fn sweep(run: &Path) -> Result<Vec<CheckpointError>, CheckpointError> {
    let mut left = Vec::new();
    for path in entries(&run.join(FOLDER))? {
        match (folder::replaced(&path), folder::is_left_over(&path)) {
            (Some(name), _) if !name.exists() => {
                let restored = fs::rename(&path, name);
                restored.map_err(|reason| CheckpointError::Write { path, reason })?;
            }
            (_, true) => {
                let removed = fs::remove_dir_all(&path).err();
                left.extend(removed.map(|reason| CheckpointError::Remove { path, reason }));
            }
            _ => {}
        }
    }
    Ok(left)
}

/// Removes a checkpoint; a half-removed one does not look like a checkpoint.
fn remove(path: &Path, step: u64) -> io::Result<()> {
    let beside = folder::beside(path.parent().unwrap_or(Path::new(".")), step, "removing");
    remove_folder(path, &beside, MANIFEST)
}

fn whole(path: &Path) -> Result<Checkpoint, Fault> {
    let checkpoint = Checkpoint::open(path)?;
    checkpoint.verify()?;
    Ok(checkpoint)
}

/// The entries of a folder; none if it does not exist.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let failed = |reason| CheckpointError::Read {
        path: folder.to_path_buf(),
        reason,
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}
