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

/// The state of a training, copied to the host.
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
/// # Errors
///
/// A file cannot be written, or differs from what was written. Checkpoints of other steps are untouched.
pub fn write(run: &Path, snapshot: Snapshot) -> Result<Saved, CheckpointError> {
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
    write_files(&beside, snapshot).map_err(failed)?;
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

fn write_files(beside: &Path, snapshot: Snapshot) -> io::Result<()> {
    empty_folder(beside)?;
    let state = serde_json::to_vec_pretty(&snapshot.state)?;
    let model = snapshot.model.lay_out();
    let mut sums = FILES.map(|_| String::new());
    for (file, sum) in FILES.into_iter().zip(&mut sums) {
        let mut writer = Hashing::new(BufWriter::new(File::create(beside.join(file))?));
        match file {
            MODEL => write_tensors(&mut writer, &model)?,
            OPTIMIZER => write_tensors(&mut writer, &snapshot.optimizer)?,
            STATE => writer.write_all(&state)?,
            TOKENIZER => writer.write_all(&snapshot.tokenizer)?,
            _ => unreachable!("every file has its content"),
        }
        let (written, digest) = writer.finish();
        sync(&written.into_inner()?)?;
        *sum = digest;
    }
    write_flushed(&beside.join(MANIFEST), Manifest(sums).render().as_bytes())?;
    sync_folder(beside)
}

/// Drops the files from the page cache, so that the next read comes from the disk.
fn forget(path: &Path) {
    for file in FILES {
        if let Ok(file) = File::open(path.join(file)) {
            forget_cached(&file);
        }
    }
}
