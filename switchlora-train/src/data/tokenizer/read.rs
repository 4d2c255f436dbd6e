//! Reads a tokenizer, and finds out which tokens begin and end a document.

use super::beside::Beside;
use super::frame::{self, End, Frame};
use super::record::{self, TokenizerRecord};
use super::settings::{self, Applied};
use super::steady::steady;
use super::{DataError, Tokenizer, Words};
use crate::git_lfs;
use crate::quietly::caught;
use crate::say::warn;
use serde_json::Value;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// File name of a tokenizer in a Hugging Face folder and in a checkpoint.
pub const TOKENIZER: &str = "tokenizer.json";

impl Tokenizer {
    /// Reads a tokenizer as Hugging Face writes it: a folder, its `tokenizer.json`, or such a file alone.
    ///
    /// The other files of a folder are asked which tokens begin and end a text, as `transformers` does, if the file is named
    /// `tokenizer.json`. That of a checkpoint is used as its run used it. Warns about settings that are not obeyed, and about
    /// an end-of-text token that only its spelling tells.
    ///
    /// # Errors
    ///
    /// [`DataError::PathMissing`], [`DataError::Unreadable`], [`DataError::BesideTokenizer`], and the errors of
    /// [`Tokenizer::from_json`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = file_of(path.as_ref());
        let json = fs::read(&path).map_err(|reason| DataError::unreadable(&path, reason))?;
        let origin = path.display().to_string();
        let folder = asked(&path);
        if let Some(record) = folder.and_then(record::of_checkpoint) {
            return Self::recorded(&origin, json, record.as_ref());
        }
        let beside = folder.map(Beside::of_folder).transpose()?;
        let (read, dropout) = Self::read(&origin, json.into(), &beside.unwrap_or_default(), None)?;
        if let Some(dropout) = dropout {
            warn(format!(
                "{origin}: its dropout of {dropout} is not obeyed, so that a text always has the same tokens"
            ));
        }
        if read.end == End::Spelling {
            warn(format!(
                "{origin}: documents end with {}, chosen by its spelling; to choose another, put a tokenizer_config.json with \
                 \"eos_token\" beside it, and name it {TOKENIZER}",
                read.named(&[read.end_of_text()])
            ));
        }
        Ok(read)
    }

    /// The files that [`from_file`](Self::from_file) reads: the tokenizer, and those beside it that exist.
    pub fn files(path: impl AsRef<Path>) -> Vec<PathBuf> {
        let path = file_of(path.as_ref());
        let beside = asked(&path).into_iter().flat_map(|folder| {
            let files = Beside::names().map(|name| folder.join(name));
            files.filter(|file| file.is_file())
        });
        let beside: Vec<_> = beside.collect();
        [path].into_iter().chain(beside).collect()
    }

    /// Reads the contents of a `tokenizer.json` without other files. Error messages name their source as `origin`.
    ///
    /// # Errors
    ///
    /// [`DataError::TokenizerFormat`] if `json` is not a tokenizer, [`DataError::NoEndOfText`] if it has no end-of-text
    /// token.
    pub fn from_json(origin: &str, json: impl Into<Arc<[u8]>>) -> Result<Self, DataError> {
        Ok(Self::read(origin, json.into(), &Beside::default(), None)?.0)
    }

    /// The tokenizer of a run: `json` and what the run's checkpoint recorded. Checkpoints of earlier programs have no
    /// record: in them no token begins a document, and the first that is in the vocabulary of a list of spellings ends it.
    ///
    /// # Errors
    ///
    /// The errors of [`Tokenizer::from_json`].
    pub fn recorded(
        origin: &str,
        json: impl Into<Arc<[u8]>>,
        record: Option<&TokenizerRecord>,
    ) -> Result<Self, DataError> {
        let beside = record
            .map(|record| record.beside.clone())
            .unwrap_or_default();
        let recorded = record.map(|record| (record.begin.clone(), record.end.clone()));
        let recorded = recorded.unwrap_or_default();
        let read = Self::read(origin, json.into(), &beside, Some(recorded))?.0;
        match record.is_some_and(|record| record.of_model) {
            true => Ok(read.of_model()),
            false => Ok(read),
        }
    }

    /// The tokenizer of a model's own folder: the files beside it also say how the model generates.
    pub fn of_model(mut self) -> Self {
        Arc::make_mut(&mut self.record).of_model = true;
        self
    }

    /// Reads a tokenizer and the dropout that it does not obey. `recorded` are the ids around documents; without an end,
    /// those of earlier programs.
    fn read(
        origin: &str,
        json: Arc<[u8]>,
        beside: &Beside,
        recorded: Option<(Vec<u32>, Vec<u32>)>,
    ) -> Result<(Self, Option<f32>), DataError> {
        let malformed = |reason: String| DataError::TokenizerFormat {
            origin: origin.to_string(),
            reason,
        };
        if git_lfs::is_pointer(&json) {
            return Err(malformed(git_lfs::ADVICE.to_owned()));
        }
        // The `tokenizers` crate panics on some damaged files.
        let read = caught(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(&json)?;
            let dropout = steady(&mut inner)?;
            let applied = settings::apply(beside, &mut inner);
            Ok((inner, dropout, applied))
        });
        let read = read.unwrap_or_else(|panic| Err(panic.into()));
        let (inner, dropout, applied) =
            read.map_err(|error: tokenizers::Error| malformed(fault(&json, error.to_string())))?;
        let Applied {
            frame,
            bos,
            eos,
            class_eos,
            pad,
            changes,
        } = applied;
        let frame = match frame {
            Some((before, after)) => Frame { before, after },
            None => caught(|| Frame::of(&inner))
                .and_then(|frame| frame)
                .map_err(malformed)?,
        };
        let none = || DataError::NoEndOfText {
            origin: origin.to_string(),
            looked_for: frame::SPELLINGS,
        };
        let earlier = frame::earlier_end(&inner);
        let (begin, end, said) = match recorded {
            Some((begin, end)) if !end.is_empty() => (begin, end, End::Recorded),
            Some(_) => (Vec::new(), vec![earlier.ok_or_else(none)?], End::Recorded),
            None => {
                let (id, said) =
                    frame::end(&inner, &frame, beside, eos, class_eos).ok_or_else(none)?;
                let mut end = frame.after.clone();
                if end.last() != Some(&id) {
                    end.push(id);
                }
                (frame.before.clone(), end, said)
            }
        };
        let highest = |added| inner.get_vocab(added).into_values().max();
        let size = |highest: Option<u32>| highest.map_or(0, |id| id as usize + 1);
        let as_ever = begin.is_empty() && end.len() == 1 && earlier == Some(end[0]);
        let mut sha = Sha256::new_with_prefix(&json);
        if !(as_ever && changes.is_empty()) {
            sha.update(format!("\0{}", json!([begin, end, changes])));
        }
        let tokenizer = Self {
            vocab_size: size(highest(true)),
            base_size: size(highest(false)),
            inner,
            sha256: sha.finalize().into(),
            json,
            record: Arc::new(TokenizerRecord {
                begin,
                end,
                beside: beside.clone(),
                of_model: false,
            }),
            frame,
            begin_of_text: bos,
            pad,
            end: said,
            cuts: OnceLock::new(),
            words: Words::default(),
        };
        Ok((tokenizer, dropout))
    }
}

/// The `tokenizer.json` of a folder; a file itself.
fn file_of(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join(TOKENIZER),
        false => path.to_path_buf(),
    }
}

/// The folder whose other files are asked about the tokenizer in the file.
fn asked(file: &Path) -> Option<&Path> {
    file.parent().filter(|_| file.ends_with(TOKENIZER))
}

/// What is wrong with the JSON of a tokenizer, of which the reader says no more than that it knows none of its parts.
fn fault(json: &[u8], said: String) -> String {
    let Ok(Value::Object(parts)) = serde_json::from_slice(json) else {
        return said;
    };
    if !said.contains("untagged enum") {
        return said;
    }
    let named = [
        "normalizer",
        "pre_tokenizer",
        "model",
        "post_processor",
        "decoder",
    ];
    let kinds = named.iter().filter_map(|part| {
        let kind = parts.get(*part)?.get("type")?.as_str()?;
        Some(format!("{part} {kind}"))
    });
    let kinds: Vec<_> = kinds.collect();
    match kinds.is_empty() {
        true => said,
        false => format!(
            "one of its parts is of a kind that is not known, or damaged: {}",
            kinds.join(", ")
        ),
    }
}
