//! Opens one checkpoint, checks it against its manifest, and reads it.

use super::manifest::{Hashing, Manifest};
use super::tensors::{Tensors, read_tensors};
use super::{FILES, FORMAT, Fault, MANIFEST, MODEL, OPTIMIZER, STATE, State, TOKENIZER, folder};
use crate::regular_file;
use std::borrow::Borrow;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A checkpoint whose manifest, state and tokenizer have been read and checked. Its tensors are still on the disk.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Manifest,
    /// Everything that is not a tensor.
    pub state: State,
    /// The content of the tokenizer's file.
    pub tokenizer: Vec<u8>,
    /// The open file of the weights, see [`hold`](Self::hold).
    held: Option<Arc<Mutex<File>>>,
}

impl Checkpoint {
    /// Opens the checkpoint in the folder `path`.
    ///
    /// # Errors
    ///
    /// The first defect.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let manifest = fs::read(path.join(MANIFEST)).map_err(|error| unread(MANIFEST, error))?;
        let manifest = Manifest::parse(&manifest)?;
        let state = read_whole(path, &manifest, STATE)?;
        let bad = |reason: String| Fault::Content {
            file: STATE.to_owned(),
            reason,
        };
        let format: Format = serde_json::from_slice(&state).map_err(|e| bad(e.to_string()))?;
        if format.format != FORMAT {
            let found = format.format;
            return Err(bad(format!("format {found}, this program reads {FORMAT}")));
        }
        let state: State = serde_json::from_slice(&state).map_err(|e| bad(e.to_string()))?;
        if folder::step(path).is_some_and(|step| step != state.step) {
            let step = state.step;
            return Err(bad(format!("of update {step}, unlike the folder's name")));
        }
        Ok(Self {
            path: path.to_path_buf(),
            tokenizer: read_whole(path, &manifest, TOKENIZER)?,
            manifest,
            state,
            held: None,
        })
    }

    /// Opens the file of the weights now, so that they can be read after the run that made them has removed the checkpoint.
    /// Their space on the disk is free when this checkpoint is dropped.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn hold(&mut self) -> Result<(), Fault> {
        self.held = Some(Arc::new(Mutex::new(open(&self.path, MODEL)?)));
        Ok(())
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads every file again, compares it with its checksum, and returns the size of all files in bytes.
    ///
    /// # Errors
    ///
    /// The first file that differs from its checksum.
    pub fn verify(&self) -> Result<u64, Fault> {
        let mut bytes = 0;
        for file in FILES {
            let mut reader = Hashing::new(open(&self.path, file)?);
            io::copy(&mut reader, &mut io::sink()).map_err(|error| unread(file, error))?;
            bytes += reader.passed;
            check(&self.manifest, file, &reader.finish().1)?;
        }
        Ok(bytes)
    }

    /// The weights.
    ///
    /// # Errors
    ///
    /// The file differs from its checksum.
    pub fn model(&self) -> Result<Tensors, Fault> {
        match &self.held {
            None => self.tensors(MODEL, open(&self.path, MODEL)?, |_| true),
            Some(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.rewind().map_err(|error| unread(MODEL, error))?;
                self.tensors(MODEL, &*file, |_| true)
            }
        }
    }

    /// Moments and candidate vectors, those whose names are `wanted`.
    ///
    /// # Errors
    ///
    /// The file differs from its checksum.
    pub fn optimizer(&self, wanted: impl Fn(&str) -> bool) -> Result<Tensors, Fault> {
        self.tensors(OPTIMIZER, open(&self.path, OPTIMIZER)?, wanted)
    }

    fn tensors(
        &self,
        name: &str,
        file: impl Borrow<File>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Tensors, Fault> {
        let file: &File = file.borrow();
        let length = file.metadata().map_err(|error| unread(name, error))?.len();
        let mut reader = Hashing::new(io::BufReader::with_capacity(1 << 20, file));
        let tensors =
            read_tensors(&mut reader, length, wanted).map_err(|reason| Fault::Content {
                file: name.to_owned(),
                reason,
            })?;
        check(&self.manifest, name, &reader.finish().1)?;
        Ok(tensors)
    }
}

/// The part of a state that every format has.
#[derive(serde::Deserialize)]
struct Format {
    format: u32,
}

fn open(folder: &Path, file: &str) -> Result<File, Fault> {
    regular_file::open(&folder.join(file)).map_err(|error| unread(file, error))
}

fn read_whole(folder: &Path, manifest: &Manifest, file: &str) -> Result<Vec<u8>, Fault> {
    let mut reader = Hashing::new(open(folder, file)?);
    let mut bytes = Vec::new();
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| unread(file, error))?;
    check(manifest, file, &reader.finish().1)?;
    Ok(bytes)
}

fn check(manifest: &Manifest, file: &str, found: &str) -> Result<(), Fault> {
    match manifest.sum(file) == Some(found) {
        true => Ok(()),
        false => Err(Fault::Checksum {
            file: file.to_owned(),
        }),
    }
}

fn unread(file: &str, reason: io::Error) -> Fault {
    let file = file.to_owned();
    match reason.kind() {
        io::ErrorKind::NotFound => Fault::Missing { file },
        _ => Fault::Unreadable { file, reason },
    }
}
