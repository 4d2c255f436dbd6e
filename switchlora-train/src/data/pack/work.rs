//! The work from beginning to end: read, encode, write, and know where to go on.

use super::super::packed::PackedWriter;
use super::super::{DataError, Tokenizer};
use super::inputs::{Input, inputs};
use super::malformed::{Malformed, OnMalformed};
use super::parts::Parts;
use super::progress::{Progress, key};
use super::rounds::{HeldOut, Round, read};
use super::side::{Side, Validation};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Rounds that may wait to be encoded.
const WAITING: usize = 2;
/// Time between two places from which the work could go on.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// Work to do.
#[derive(Clone, Debug)]
pub struct Packing {
    /// Files, folders and patterns, in order.
    pub data: Vec<PathBuf>,
    /// The field or column with a document's text.
    pub field: String,
    /// What is held out.
    pub validation: Validation,
    /// What is done about lines and rows without text.
    pub on_malformed: OnMalformed,
    /// The packed file to train on.
    pub out: PathBuf,
    /// The packed file of what is held out, needed where something is.
    pub validation_out: PathBuf,
}

/// What was done; of pairs, the first is to train on, the second held out.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Documents.
    pub documents: [u64; 2],
    /// Tokens, the ends of texts among them.
    pub tokens: [u64; 2],
    /// Bytes of text.
    pub bytes: u64,
    /// Lines and rows without text.
    pub malformed: Malformed,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Bytes of the files that have been read, of all.
    pub read: u64,
    /// Bytes of all files.
    pub of: u64,
    /// Bytes of text that have been encoded since the process began.
    pub encoded: u64,
    /// Documents done before the process began; above 0 it goes on where another was stopped.
    pub resumed: u64,
}

/// Does the work, telling `seen` how far it is after every round; goes on where an earlier process doing the same was stopped.
///
/// # Errors
///
/// An input cannot be read or encoded, nothing in them is a document, or a file cannot be written. What is done by then is
/// kept where it is worth it, and the next attempt goes on from there.
pub fn pack(
    packing: &Packing,
    tokenizer: &Tokenizer,
    mut seen: impl FnMut(Seen),
) -> Result<Packed, DataError> {
    let mut all = inputs(&packing.data)?;
    let from = all.len();
    let mut held_out = HeldOut { from, share: 0.0 };
    match &packing.validation {
        Validation::None => {}
        Validation::Share(share) => held_out.share = *share,
        Validation::Paths(paths) => all.extend(inputs(paths)?),
    }
    let key = key(
        &all,
        &[
            &packing.field,
            &packing.on_malformed,
            &held_out,
            &tokenizer.sha256(),
        ],
    );
    let two = packing.validation != Validation::None;
    let mut work = Work::begin(packing, tokenizer, key, two)?;
    let reader = Reading {
        of: all.iter().map(|input| input.bytes).sum(),
        read: Arc::default(),
        held_out,
    };
    work.run(all, reader, &mut seen)?;
    work.finish()
}

/// The other thread.
struct Reading {
    of: u64,
    read: Arc<AtomicU64>,
    held_out: HeldOut,
}

struct Work<'a> {
    packing: &'a Packing,
    tokenizer: &'a Tokenizer,
    writers: [Option<PackedWriter>; 2],
    progress: Progress,
    resumed: u64,
    malformed: Malformed,
}

impl<'a> Work<'a> {
    /// From the beginning, or from where it was stopped.
    fn begin(
        packing: &'a Packing,
        tokenizer: &'a Tokenizer,
        key: String,
        two: bool,
    ) -> Result<Self, DataError> {
        let outs = [&packing.out, &packing.validation_out];
        let (vocab_size, sha) = (tokenizer.vocab_size() as u32, tokenizer.sha256_bytes());
        let wanted = [true, two];
        let mut work = Self {
            packing,
            tokenizer,
            writers: [None, None],
            progress: Progress::none(key.clone()),
            resumed: 0,
            malformed: Malformed::new(packing.on_malformed, 0),
        };
        if let Some(before) = Progress::load(&packing.out, &key) {
            let mut writers = [None, None];
            for (index, state) in before.writers.iter().enumerate() {
                if let Some(state) = state {
                    writers[index] = PackedWriter::resume(outs[index], vocab_size, sha, state)?;
                }
            }
            if [0, 1]
                .iter()
                .all(|&index| writers[index].is_some() == wanted[index])
            {
                work.writers = writers;
                work.resumed = before.documents.iter().sum();
                work.malformed = Malformed::new(packing.on_malformed, before.position.malformed);
                work.progress = before;
                return Ok(work);
            }
        }
        for index in [0, 1] {
            if wanted[index] {
                let writer = PackedWriter::create(outs[index], vocab_size, sha)?;
                work.writers[index] = Some(writer);
            }
        }
        Ok(work)
    }

    fn run(
        &mut self,
        all: Vec<Input>,
        reading: Reading,
        seen: &mut dyn FnMut(Seen),
    ) -> Result<(), DataError> {
        let (send, rounds) = mpsc::sync_channel(WAITING);
        let place = self.progress.position;
        let (field, cuts) = (self.packing.field.clone(), self.tokenizer.cuts());
        let malformed = self.malformed.clone();
        let before = self.progress.bytes;
        thread::scope(|scope| {
            // Should this end early, the sender finds nobody, and ends as well.
            let rounds = rounds;
            let bytes = reading.read.clone();
            scope.spawn(move || {
                let parts = Parts::new(all, &field, cuts, malformed, &bytes);
                read(parts, place, reading.held_out, &send);
            });
            let mut saved: Option<Instant> = None;
            for round in &rounds {
                self.encode(round?)?;
                if saved.is_none_or(|saved| saved.elapsed() > SAVE_EVERY) {
                    self.save()?;
                    saved = Some(Instant::now());
                }
                seen(Seen {
                    read: reading.read.load(Ordering::Relaxed).min(reading.of),
                    of: reading.of,
                    encoded: self.progress.bytes - before,
                    resumed: self.resumed,
                });
            }
            Ok(())
        })
    }

    fn encode(&mut self, round: Round) -> Result<(), DataError> {
        let texts: Vec<&str> = round
            .parts
            .iter()
            .map(|(part, _)| part.text.as_str())
            .collect();
        let done: u64 = self.progress.documents.iter().sum();
        let name = |at: usize| {
            let before = round.parts[..at]
                .iter()
                .filter(|(part, _)| part.last)
                .count() as u64;
            format!("document {}", done + before + 1)
        };
        let ids = self.tokenizer.encode_each(&texts, name)?;
        let end = [self.tokenizer.end_of_text()];
        for ((part, side), ids) in round.parts.iter().zip(ids) {
            let index = match side {
                Side::Train => 0,
                Side::Validation => 1,
            };
            if let Some(writer) = &mut self.writers[index] {
                writer.append(&ids)?;
                if part.last {
                    writer.append(&end)?;
                }
            }
            self.progress.documents[index] += u64::from(part.last);
            self.progress.bytes += part.text.len() as u64;
        }
        self.progress.position = round.after;
        self.malformed = round.malformed;
        Ok(())
    }

    fn save(&mut self) -> Result<(), DataError> {
        for (writer, state) in self.writers.iter_mut().zip(&mut self.progress.writers) {
            *state = writer.as_mut().map(PackedWriter::checkpoint).transpose()?;
        }
        let out = &self.packing.out;
        self.progress
            .save(out)
            .map_err(|reason| unsaved(out, reason))
    }

    fn finish(self) -> Result<Packed, DataError> {
        let documents = self.progress.documents;
        if documents == [0, 0] {
            Progress::remove(&self.packing.out);
            let first = self.malformed.first.first().cloned();
            return Err(DataError::NoDocuments {
                path: self.packing.data[0].clone(),
                first: first.unwrap_or_else(|| "no text at all".to_owned()),
            });
        }
        let mut tokens = [0; 2];
        // What is trained on comes last: where it is, everything is.
        for (writer, count) in self.writers.into_iter().zip(&mut tokens).rev() {
            if let Some(writer) = writer {
                *count = writer.finish()?;
            }
        }
        Progress::remove(&self.packing.out);
        Ok(Packed {
            documents,
            tokens,
            bytes: self.progress.bytes,
            malformed: self.malformed,
        })
    }
}

fn unsaved(out: &Path, reason: std::io::Error) -> DataError {
    DataError::Unwritable {
        path: out.to_path_buf(),
        reason,
    }
}
