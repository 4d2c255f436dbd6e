//! Writes one checkpoint so that it exists completely or not at all.

use super::manifest::{Hashing, MANIFEST, Manifest};
use super::tensors::{Tensors, write_tensors};
use super::{
    Checkpoint, CheckpointError, FILES, FOLDER, Fault, MODEL, OPTIMIZER, Rejected, STATE, State,
    TOKENIZER, folder,
};
use crate::durable::{forget_cached, put_folder, sync_folder};
use crate::model::HostParameters;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A state of a run, copied to the host.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Everything that is not a tensor.
    pub state: State,
    /// The weights.
    pub model: HostParameters,
    /// Moments and candidates.
    pub optimizer: Tensors,
    /// The content of the tokenizer's file.
    pub tokenizer: Arc<[u8]>,
}

/// A checkpoint that has been written and read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Updates done before it.
    pub step: u64,
    /// Its folder.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Writes a checkpoint of `run`: beside, flushed, renamed, its folder flushed, and read back from the disk.
///
/// # Errors
///
/// Something could not be written, or is not on the disk as it was written; checkpoints of other steps are untouched.
pub fn write(run: &Path, snapshot: Snapshot) -> Result<Saved, CheckpointError> {
    let step = snapshot.state.step;
    let checkpoints = run.join(FOLDER);
    let path = folder::whole(&checkpoints, step);
    let beside = folder::beside(&checkpoints, step, "writing");
    let failed = |reason: io::Error| {
        // What was half written would only take the space that is missing.
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
    put_folder(&beside, &path, &replaced).map_err(failed)?;
    let verify = |path: &Path| -> Result<u64, Fault> {
        forget(path);
        Checkpoint::open(path)?.verify()
    };
    match verify(&path) {
        Ok(bytes) => Ok(Saved { step, path, bytes }),
        Err(fault) => Err(CheckpointError::Unverified {
            rejected: Rejected { path, fault },
        }),
    }
}

fn write_files(beside: &Path, snapshot: Snapshot) -> io::Result<()> {
    if beside.exists() {
        fs::remove_dir_all(beside)?;
    }
    fs::create_dir(beside)?;
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
        written.into_inner()?.sync_all()?;
        *sum = digest;
    }
    let mut manifest = File::create(beside.join(MANIFEST))?;
    manifest.write_all(Manifest(sums).render().as_bytes())?;
    manifest.sync_all()?;
    sync_folder(beside)
}

/// What is read next of these files comes from the disk.
fn forget(path: &Path) {
    for file in FILES {
        if let Ok(file) = File::open(path.join(file)) {
            forget_cached(&file);
        }
    }
}
