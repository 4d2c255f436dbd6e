//! `metrics.jsonl`: one line for every update, evaluation, checkpoint and event, written by a separate thread.
//!
//! The numbers of an update may still be on the device when it is added; the thread waits for them, the training does
//! not. Lines keep the order in which they were added. [`Journal::flush`] waits until all of them are in the file. A
//! line that cannot be written is kept and tried again with the next; the file never has half a line.

use crate::checkpoint::{Evaluation, Saved};
use crate::durable;
use crate::metrics::Scores;
use crate::training::Report;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use switchlora_core::Deferred;

/// Writes the journal of a run.
#[derive(Clone, Debug)]
pub struct Journal {
    /// `None` for a journal that is kept elsewhere.
    entries: Option<Sender<Entry>>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

#[derive(Debug)]
enum Entry {
    Train(Deferred<Report>),
    Line(Value),
    Flush(Sender<io::Result<()>>),
}

impl Journal {
    /// Opens the journal of a run. Keeps the lines of updates up to `step` and drops later ones.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> io::Result<Self> {
        let kept = match (step, std::fs::read(path)) {
            (1.., Ok(text)) => String::from_utf8_lossy(&text)
                .lines()
                .filter(|line| step_of(line).is_some_and(|found| found <= step))
                .fold(String::new(), |kept, line| kept + line + "\n"),
            (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => String::new(),
        };
        durable::write(path, kept.as_bytes())?;
        let mut lines = Lines {
            file: OpenOptions::new().append(true).open(path)?,
            length: kept.len() as u64,
            waiting: Vec::new(),
        };
        let (entries, received) = channel();
        let failed = Arc::new(Mutex::new(None));
        let failure = failed.clone();
        thread::spawn(move || {
            for entry in received {
                let line = match entry {
                    Entry::Train(report) => train_line(&report.get()),
                    Entry::Line(line) => line,
                    Entry::Flush(answer) => {
                        let _ = answer
                            .send(lines.write().and_then(|()| durable::sync_data(&lines.file)));
                        continue;
                    }
                };
                lines.waiting.extend(format!("{line}\n").into_bytes());
                if let Err(error) = lines.write() {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        });
        Ok(Self {
            entries: Some(entries),
            failed,
        })
    }

    /// A journal without a file: another process keeps that of the run.
    pub fn elsewhere() -> Self {
        Self {
            entries: None,
            failed: Arc::default(),
        }
    }

    /// Returns, without waiting, the error of a line that could not be written since the last call.
    ///
    /// # Errors
    ///
    /// A line could not be written.
    pub fn check(&self) -> io::Result<()> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take().map_or(Ok(()), Err)
    }

    /// Adds an update.
    pub fn update(&self, report: Deferred<Report>) {
        self.add(Entry::Train(report));
    }

    /// Adds an evaluation, with the `scores` of a classifier.
    pub fn evaluation(&self, evaluation: Evaluation, scores: Option<&Scores>) {
        let Evaluation { step, loss, score } = evaluation;
        self.line(match scores {
            None => {
                json!({"kind": "eval", "step": step, "loss": loss, "perplexity": loss.exp()})
            }
            Some(scores) => {
                json!({"kind": "eval", "step": step, "loss": loss, "score": score, "scores": scores})
            }
        });
    }

    /// Adds a checkpoint in the folder `path` of the run, with the seconds that the training waited and the seconds it
    /// took.
    pub fn checkpoint(&self, saved: &Saved, path: &str, waited: f64, seconds: f64) {
        let (step, bytes) = (saved.step, saved.bytes);
        self.line(json!({"kind": "checkpoint", "step": step, "path": path, "bytes": bytes, "waited_seconds": waited,
            "seconds": seconds}));
    }

    /// Adds a skipped update.
    pub fn skipped(&self, report: &Report) {
        let (step, batches) = (report.step, report.batches);
        let message = format!("skipped {}", report.fault());
        self.line(json!({"kind": "event", "step": step, "event": "skipped", "batches": batches, "message": message}));
    }

    /// Adds any other event.
    pub fn event(&self, step: u64, message: &str) {
        self.line(json!({"kind": "event", "step": step, "message": message}));
    }

    /// Waits until every line added so far is on the disk.
    ///
    /// # Errors
    ///
    /// A line could not be written.
    pub fn flush(&self) -> io::Result<()> {
        let gone = || io::Error::other("the journal's thread has ended");
        let Some(entries) = &self.entries else {
            return Ok(());
        };
        let (answer, answered) = channel();
        entries.send(Entry::Flush(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }

    fn line(&self, line: Value) {
        self.add(Entry::Line(line));
    }

    fn add(&self, entry: Entry) {
        let _ = self.entries.as_ref().map(|entries| entries.send(entry));
    }
}

fn train_line(report: &Report) -> Value {
    let mut line = serde_json::to_value(report).unwrap_or_default();
    if let Some(line) = line.as_object_mut() {
        line.insert("kind".to_owned(), "train".into());
    }
    line
}

/// The step of a line; `None` if the line is incomplete.
fn step_of(line: &str) -> Option<u64> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["step"].as_u64()
}

/// Step and folder of the newest checkpoint in the journal at `path`.
pub fn last_checkpoint(path: &Path) -> Option<(u64, String)> {
    let named = lines_of(path, "checkpoint").into_iter();
    named
        .filter_map(|line| Some((line["step"].as_u64()?, line["path"].as_str()?.to_owned())))
        .max()
}

/// Step and loss of every evaluation in the journal at `path`, in its order; empty if there is no journal.
pub fn evaluations(path: &Path) -> Vec<Evaluation> {
    let all = judged(path).into_iter();
    all.map(|(evaluation, _)| evaluation).collect()
}

/// Every evaluation in the journal at `path`, in its order, with the metrics of a classifier.
pub fn judged(path: &Path) -> Vec<(Evaluation, Scores)> {
    let lines = lines_of(path, "eval").into_iter();
    lines
        .filter_map(|line| {
            let scores = serde_json::from_value(line["scores"].clone()).unwrap_or_default();
            Some((serde_json::from_value(line).ok()?, scores))
        })
        .collect()
}

/// The lines of one kind; none if there is no journal.
fn lines_of(path: &Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["kind"] == kind).collect()
}

/// The file, and the lines still to write.
struct Lines {
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    waiting: Vec<u8>,
}

impl Lines {
    fn write(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.waiting);
        match written {
            Ok(()) => {
                self.length += self.waiting.len() as u64;
                self.waiting.clear();
            }
            // Removes half a line.
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_order_and_a_resumed_journal_drops_what_came_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let journal = Journal::open(&path, 0).unwrap();
        for step in 1..=4 {
            let report = Report {
                step,
                grad_norm: f64::NAN,
                ..Report::default()
            };
            journal.update(Deferred::read(move || report));
            let evaluation = Evaluation {
                step,
                loss: 2.0,
                score: None,
            };
            journal.evaluation(evaluation, None);
        }
        journal.flush().unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(read().lines().count(), 8);
        let first: Value = serde_json::from_str(read().lines().next().unwrap()).unwrap();
        assert_eq!(
            (&first["kind"], &first["grad_norm"]),
            (&json!("train"), &Value::Null)
        );

        std::fs::write(&path, read() + "{\"kind\":\"train\",\"st").unwrap();
        let journal = Journal::open(&path, 2).unwrap();
        journal.event(2, "resumed");
        journal.flush().unwrap();
        let steps: Vec<u64> = read()
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["step"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert_eq!(steps, [1, 1, 2, 2, 2]);
    }
}
