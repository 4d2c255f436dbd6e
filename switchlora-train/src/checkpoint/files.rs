//! Checkpoints on disk.

use super::{CheckpointError, FOLDER, MODEL, OPTIMIZER, STATE, State, TOKENIZER};
use crate::checkpoint::state::FORMAT;
use burn::tensor::{DType, TensorData};
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes a checkpoint of `run` and gives its folder. It exists completely or not at all.
///
/// # Errors
///
/// Something could not be written; what was there before is untouched.
pub fn write(
    run: &Path,
    state: &State,
    model: &BTreeMap<String, TensorData>,
    optimizer: &BTreeMap<String, TensorData>,
    tokenizer: &[u8],
) -> Result<PathBuf, CheckpointError> {
    let folder = run.join(FOLDER);
    let path = folder.join(format!("step-{:08}", state.step));
    let beside = folder.join(format!(".step-{:08}.writing", state.step));
    let failed = |reason: io::Error| CheckpointError::Write {
        path: path.clone(),
        reason,
    };
    let attempt = || -> io::Result<()> {
        if beside.exists() {
            fs::remove_dir_all(&beside)?;
        }
        fs::create_dir_all(&beside)?;
        write_tensors(&beside.join(MODEL), model)?;
        write_tensors(&beside.join(OPTIMIZER), optimizer)?;
        fs::write(beside.join(TOKENIZER), tokenizer)?;
        fs::write(beside.join(STATE), serde_json::to_vec_pretty(state)?)?;
        for file in [MODEL, OPTIMIZER, TOKENIZER, STATE] {
            File::open(beside.join(file))?.sync_all()?;
        }
        sync_folder(&beside)?;
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::rename(&beside, &path)?;
        sync_folder(&folder)
    };
    attempt().map_err(|reason| {
        // What was half written would only take the space that is missing.
        let _ = fs::remove_dir_all(&beside);
        failed(reason)
    })?;
    Ok(path)
}

/// Removes all but the `keep` newest checkpoints of `run` and the one of step `best`.
///
/// # Errors
///
/// A folder could not be read or removed.
pub fn prune(run: &Path, keep: usize, best: Option<u64>) -> Result<(), CheckpointError> {
    let all = list(run)?;
    let old = all.len().saturating_sub(keep.max(1));
    for (step, path) in all.into_iter().take(old) {
        if Some(step) != best {
            fs::remove_dir_all(&path).map_err(|reason| CheckpointError::Write { path, reason })?;
        }
    }
    Ok(())
}

/// The newest checkpoint of `run`.
///
/// # Errors
///
/// There is none.
pub fn newest(run: &Path) -> Result<PathBuf, CheckpointError> {
    let newest = list(run)?.pop().map(|(_, path)| path);
    newest.ok_or_else(|| CheckpointError::None(run.to_path_buf()))
}

/// The checkpoint that `path` names: itself, or the newest of a run directory.
///
/// # Errors
///
/// There is none.
pub fn resolve(path: &Path) -> Result<PathBuf, CheckpointError> {
    match path.join(STATE).is_file() {
        true => Ok(path.to_path_buf()),
        false => newest(path),
    }
}

/// Reads what is not a tensor, and the tokenizer's file.
///
/// # Errors
///
/// A file cannot be read or is damaged.
pub fn read(checkpoint: &Path) -> Result<(State, Vec<u8>), CheckpointError> {
    let path = checkpoint.join(STATE);
    let state: State = serde_json::from_slice(&read_file(&path)?).map_err(|reason| {
        let (path, reason) = (path.clone(), reason.to_string());
        CheckpointError::Damaged { path, reason }
    })?;
    if state.format != FORMAT {
        let reason = format!("format {}, this program reads {FORMAT}", state.format);
        return Err(CheckpointError::Damaged { path, reason });
    }
    Ok((state, read_file(&checkpoint.join(TOKENIZER))?))
}

/// Reads a file of f32 tensors.
///
/// # Errors
///
/// The file cannot be read, is damaged, or holds another type of number.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, TensorData>, CheckpointError> {
    let bytes = read_file(path)?;
    let damaged = |reason: String| CheckpointError::Damaged {
        path: path.to_path_buf(),
        reason,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let tensors = file.iter().map(|(name, view)| {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!(
                "tensor {name} holds {:?}, expected F32",
                view.dtype()
            )));
        }
        let values = view.data().chunks_exact(4);
        let values = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let values: Vec<f32> = values.collect();
        Ok((name.to_owned(), TensorData::new(values, view.shape())))
    });
    tensors.collect()
}

/// Checkpoints of a run by step, oldest first. What is not named like one is passed over.
fn list(run: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let folder = run.join(FOLDER);
    let failed = |reason| CheckpointError::Read {
        path: folder.clone(),
        reason,
    };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let step = name.and_then(|name| name.strip_prefix("step-")?.parse().ok());
        if let Some(step) = step
            && path.join(STATE).is_file()
        {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

fn read_file(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    fs::read(path).map_err(|reason| CheckpointError::Read {
        path: path.to_path_buf(),
        reason,
    })
}

fn write_tensors(path: &Path, tensors: &BTreeMap<String, TensorData>) -> io::Result<()> {
    let views = tensors.iter().map(|(name, data)| (name, Floats(data)));
    safetensors::serialize_to_file(views, None, path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => error,
        error => io::Error::other(error),
    })
}

/// A folder's own entry list reaches the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// f32 data as safetensors wants to see it.
struct Floats<'a>(&'a TensorData);

impl View for Floats<'_> {
    fn dtype(&self) -> Dtype {
        debug_assert_eq!(self.0.dtype, DType::F32);
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.0.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.0.as_bytes().len()
    }
}
