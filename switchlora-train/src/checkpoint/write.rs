//! Writes a checkpoint atomically.

use super::manifest::{Hashing, MANIFEST, Manifest};
use super::tensors::{Tensors, write_tensors};
use super::{
    Checkpoint, CheckpointError, FILES, FOLDER, Fault, MODEL, OPTIMIZER, Rejected, STATE, State,
    TOKENIZER, folder,
};
use crate::durable::{empty_folder, forget_cached, put_folder, sync, sync_folder, write_flushed};
use crate::model::HostParameters;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The state of a training, read to the host.
///
/// On Flex it shares the memory of the training, which copies what it changes while the state still lives.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Everything that is not a tensor.
    pub state: State,
    /// The weights.
    pub model: HostParameters,
    /// Moments and candidate vectors.
    pub optimizer: Tensors,
    /// Content of `tokenizer.json`.
    pub tokenizer: Arc<[u8]>,
}

impl Snapshot {
    /// A check sum of what training changes: weights, moments, candidates, and the state of the switches.
    ///
    /// # Errors
    ///
    /// The state cannot be written as JSON.
    pub fn checksum(&self) -> serde_json::Result<u32> {
        let mut sum = crc32fast::Hasher::new();
        let model = self.model.tensors();
        model
            .chain(self.optimizer.values())
            .for_each(|data| sum.update(data.as_bytes()));
        sum.update(&serde_json::to_vec(&self.state.optimizer)?);
        Ok(sum.finalize())
    }
}

/// A checkpoint that has been written and read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Updates done.
    pub step: u64,
    /// Its folder.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Writes a checkpoint of `run` to a hidden folder, flushes it, renames it, and reads it back from the disk.
///
/// Calls `let_go` when the tensors of the snapshot have been let go, which is before the disk has them.
///
/// # Errors
///
/// A file cannot be written, or differs from what was written. Checkpoints of other steps are untouched.
pub fn write(
    run: &Path,
    snapshot: Snapshot,
    let_go: impl FnOnce(),
) -> Result<Saved, CheckpointError> {
    let step = snapshot.state.step;
    let checkpoints = run.join(FOLDER);
    let path = folder::whole(&checkpoints, step);
    let beside = folder::beside(&checkpoints, step, "writing");
    let failed = |reason: io::Error| {
        // Half a checkpoint only takes space, which may be what is missing.
        let _ = fs::remove_dir_all(&beside);
        CheckpointError::Write {
            path: path.clone(),
            reason,
        }
    };
    fs::create_dir_all(&checkpoints)
        .and_then(|()| sync_folder(run))
        .map_err(failed)?;
    write_files(&beside, snapshot, let_go).map_err(failed)?;
    let replaced = folder::beside(&checkpoints, step, "replaced");
    put_folder(&beside, &path, &replaced, MANIFEST).map_err(failed)?;
    let verify = |path: &Path| -> Result<u64, Fault> {
        forget(path);
        Checkpoint::open(path)?.verify()
    };
    match verify(&path) {
        Ok(bytes) => Ok(Saved { step, path, bytes }),
        Err(fault) => Err(CheckpointError::Unverified(Rejected { path, fault })),
    }
}

fn write_files(beside: &Path, snapshot: Snapshot, let_go: impl FnOnce()) -> io::Result<()> {
    empty_folder(beside)?;
    let Snapshot {
        state,
        model,
        optimizer,
        tokenizer,
    } = snapshot;
    // What training changes next comes first, so that little of it is still shared by then.
    let optimizer = write_file(beside, OPTIMIZER, |file| write_tensors(file, optimizer))?;
    let model = write_file(beside, MODEL, |file| write_tensors(file, model.by_name()))?;
    let_go();
    let state = serde_json::to_vec_pretty(&state)?;
    let state = write_file(beside, STATE, |file| file.write_all(&state))?;
    let tokenizer = write_file(beside, TOKENIZER, |file| file.write_all(&tokenizer))?;
    let written = [model, optimizer, state, tokenizer];
    for (file, _) in &written {
        sync(file)?;
    }
    let sums = Manifest(written.map(|(_, sum)| sum));
    write_flushed(&beside.join(MANIFEST), sums.render().as_bytes())?;
    sync_folder(beside)
}

/// Writes a file. Returns it, still to be flushed to the disk, and its checksum.
fn write_file(
    folder: &Path,
    name: &str,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<(File, String)> {
    let mut file = Hashing::new(BufWriter::new(File::create(folder.join(name))?));
    content(&mut file)?;
    let (written, digest) = file.finish();
    Ok((written.into_inner()?, digest))
}

/// Drops the files from the page cache, so that the next read comes from the disk.
fn forget(path: &Path) {
    for file in FILES {
        if let Ok(file) = File::open(path.join(file)) {
            forget_cached(&file);
        }
    }
}
