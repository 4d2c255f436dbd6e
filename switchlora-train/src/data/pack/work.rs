//! Packs documents: reads, encodes, writes, and saves the progress.

use super::super::packed::PackedWriter;
use super::super::read::{BytesRead, Input, Malformed, OnMalformed, check, companions, inputs};
use super::super::{DataError, Tokenizer};
use super::parts::Parts;
use super::progress::{Progress, key};
use super::rounds::{HeldOut, Round, read};
use super::side::Validation;
use crate::durable::hidden;
use crate::lock::{Attempt, Lock};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Rounds that may wait to be encoded.
const WAITING: usize = 2;
/// Time between two saves of the progress.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// What to pack, and where to.
#[derive(Clone, Debug)]
pub struct Packing {
    /// Files, folders and patterns, in order.
    pub data: Vec<PathBuf>,
    /// Field or column of a document's text.
    pub field: String,
    /// Which documents are held out.
    pub validation: Validation,
    /// Treatment of lines and rows without text.
    pub on_malformed: OnMalformed,
    /// The packed training file.
    pub out: PathBuf,
    /// The packed validation file. Not written if nothing is held out.
    pub validation_out: PathBuf,
}

/// Result of packing. The first number of a pair is for training, the second for validation.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Number of documents.
    pub documents: [u64; 2],
    /// Number of tokens, including the end-of-text tokens.
    pub tokens: [u64; 2],
    /// Bytes of text.
    pub bytes: u64,
    /// Lines and rows without text.
    pub malformed: Malformed,
}

/// Progress of packing, for display.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Bytes of the input files read.
    pub read: u64,
    /// Bytes of all input files.
    pub of: u64,
    /// Bytes of text encoded by this process.
    pub encoded: u64,
    /// Documents packed by an earlier process whose work this process resumed, or 0.
    pub resumed: u64,
    /// Whether another process is packing the same text into the cache, and this one waits for it.
    pub waiting: bool,
}

impl Seen {
    /// Waiting for another process.
    pub(super) fn waiting() -> Self {
        Self {
            read: 0,
            of: 0,
            encoded: 0,
            resumed: 0,
            waiting: true,
        }
    }
}

/// Packs documents, and reports the progress to `seen` after every round. Resumes the same work of an earlier process
/// that was stopped.
///
/// # Errors
///
/// [`DataError::InUse`] if another process writes the output; an input cannot be read or encoded, the inputs contain no
/// document, or an output cannot be written. Saved progress is kept, and the next call resumes from it.
pub fn pack(
    packing: &Packing,
    tokenizer: &Tokenizer,
    seen: impl FnMut(Seen),
) -> Result<Packed, DataError> {
    let held_out = match packing.validation {
        Validation::None => None,
        Validation::Share(_) | Validation::Paths(_) => Some(&packing.validation_out),
    };
    let outs = [&packing.out].into_iter().chain(held_out);
    let _locks = outs.map(|out| lock(out)).collect::<Result<Vec<_>, _>>()?;
    pack_alone(packing, tokenizer, seen)
}

/// Takes the lock of an output; none where the file system has no locks.
fn lock(out: &Path) -> Result<Option<Lock>, DataError> {
    let attempt = lock_of(out).and_then(|lock| Lock::attempt(&lock));
    match attempt.map_err(|reason| DataError::unwritable(out, reason))? {
        Attempt::Held(lock) => Ok(Some(lock.removed_at_the_end())),
        Attempt::Missing(_) => Ok(None),
        Attempt::Taken(process) => {
            let path = out.to_path_buf();
            Err(DataError::InUse { path, process })
        }
    }
}

/// The file whose lock the process holds that writes `out`.
pub(super) fn lock_of(out: &Path) -> io::Result<PathBuf> {
    hidden(out, "lock")
}

/// [`pack`], by the only process that writes the output.
///
/// # Errors
///
/// The errors of [`pack`].
pub(super) fn pack_alone(
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
    check(&all, &packing.field)?;
    let key = key(
        &all,
        &[
            &packing.field,
            &packing.on_malformed,
            &held_out,
            &tokenizer.sha256(),
        ],
    );
    let attempt = || {
        let mut work = Work::begin(packing, tokenizer, key)?;
        work.run(all, held_out, &mut seen)?;
        work.finish()
    };
    attempt().inspect_err(|_| {
        // Without saved progress a half-written file only takes space, which may be what is missing.
        if !Progress::exists(&packing.out) {
            for out in [&packing.out, &packing.validation_out] {
                let _ = hidden(out, "writing").and_then(fs::remove_file);
            }
        }
    })
}

/// Work in progress. Pairs are for training and validation.
struct Work<'a> {
    packing: &'a Packing,
    tokenizer: &'a Tokenizer,
    writers: [Option<PackedWriter>; 2],
    progress: Progress,
    resumed: u64,
    malformed: Malformed,
}

impl<'a> Work<'a> {
    /// Resumes from the saved progress, if there is any for this work; else begins anew.
    fn begin(
        packing: &'a Packing,
        tokenizer: &'a Tokenizer,
        key: String,
    ) -> Result<Self, DataError> {
        let outs = [&packing.out, &packing.validation_out];
        let (vocab_size, sha) = (tokenizer.vocab_size() as u32, tokenizer.sha256_bytes());
        let wanted = [true, packing.validation != Validation::None];
        let mut work = Self {
            packing,
            tokenizer,
            writers: [None, None],
            progress: Progress::none(key.clone()),
            resumed: 0,
            malformed: Malformed::new(packing.on_malformed, 0),
        };
        if let Some(before) = Progress::load(&packing.out, &key) {
            let resume = |index: usize| match &before.writers[index] {
                Some(state) => PackedWriter::resume(outs[index], vocab_size, sha, state),
                None => Ok(None),
            };
            let writers = [resume(0)?, resume(1)?];
            if writers.each_ref().map(Option::is_some) == wanted {
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

    /// Encodes and writes all rounds, which another thread reads.
    fn run(
        &mut self,
        all: Vec<Input>,
        held_out: HeldOut,
        seen: &mut dyn FnMut(Seen),
    ) -> Result<(), DataError> {
        let (send, rounds) = mpsc::sync_channel(WAITING);
        let of = all.iter().map(|input| input.bytes).sum();
        let bytes_read = BytesRead::default();
        let (field, cuts) = (&self.packing.field, self.tokenizer.cuts());
        let malformed = self.malformed.clone();
        let position = self.progress.position;
        let before = self.progress.bytes;
        thread::scope(|scope| {
            // Dropped if this closure returns early, which ends the reading thread.
            let rounds = rounds;
            let counter = bytes_read.clone();
            scope.spawn(move || {
                let parts = Parts::new(all, field, cuts, malformed, &counter);
                read(parts, position, held_out, &send);
            });
            let mut saved: Option<Instant> = None;
            for round in &rounds {
                self.encode(round?)?;
                if saved.is_none_or(|saved| saved.elapsed() > SAVE_EVERY) {
                    self.save()?;
                    saved = Some(Instant::now());
                }
                seen(Seen {
                    read: bytes_read.load(Ordering::Relaxed).min(of),
                    of,
                    encoded: self.progress.bytes - before,
                    resumed: self.resumed,
                    waiting: false,
                });
            }
            Ok(())
        })
    }

    /// Encodes a round and appends its ids to the files.
    fn encode(&mut self, round: Round) -> Result<(), DataError> {
        let texts: Vec<&str> = round
            .parts
            .iter()
            .map(|(part, _)| part.text.as_str())
            .collect();
        let done: u64 = self.progress.documents.iter().sum();
        let name = |at: usize| {
            let parts = round.parts[..at].iter();
            let before = parts.filter(|(part, _)| part.last).count() as u64;
            format!("document {}", done + before + 1)
        };
        let ids = self.tokenizer.encode_each(&texts, name)?;
        let record = self.tokenizer.record();
        for ((part, side), ids) in round.parts.iter().zip(ids) {
            let index = *side as usize;
            if let Some(writer) = &mut self.writers[index] {
                if part.first {
                    writer.append(&record.begin)?;
                }
                writer.append(&ids)?;
                if part.last {
                    writer.append(&record.end)?;
                }
            }
            self.progress.documents[index] += u64::from(part.last);
            self.progress.bytes += part.text.len() as u64;
        }
        self.progress.position = round.after;
        self.malformed = round.malformed;
        Ok(())
    }

    /// Flushes the files and saves the progress.
    fn save(&mut self) -> Result<(), DataError> {
        for (writer, state) in self.writers.iter_mut().zip(&mut self.progress.writers) {
            *state = writer.as_mut().map(PackedWriter::checkpoint).transpose()?;
        }
        let out = &self.packing.out;
        self.progress
            .save(out)
            .map_err(|reason| DataError::unwritable(out, reason))
    }

    /// Completes the files and removes the saved progress.
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
        // Both are whole before either has its name: until then another process can resume them.
        let mut complete = Vec::new();
        for writer in self.writers {
            complete.push(writer.map(PackedWriter::complete).transpose()?);
        }
        let mut tokens = [0; 2];
        // The training file is renamed last: if it exists, the work is done.
        for (file, count) in complete.into_iter().zip(&mut tokens).rev() {
            if let Some(file) = file {
                *count = file.publish()?;
            }
        }
        Progress::remove(&self.packing.out);
        let mut malformed = self.malformed;
        malformed.companions = companions(&self.packing.data);
        Ok(Packed {
            documents,
            tokens,
            bytes: self.progress.bytes,
            malformed,
        })
    }
}
