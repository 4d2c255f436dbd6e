//! `metrics.jsonl`: one line for every update, evaluation, checkpoint and event, written by a thread of its own.
//!
//! The numbers of an update may still be on the device when it is announced; the thread waits for them, the training does
//! not. Lines are in the order in which they were announced. [`Journal::flush`] waits until all of them are in the file.

use super::report::Report;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use switchlora_core::Deferred;

/// Writes the journal of a run.
#[derive(Clone, Debug)]
pub struct Journal {
    entries: Sender<Entry>,
}

#[derive(Debug)]
enum Entry {
    Train(Deferred<Report>),
    Line(Value),
    Flush(Sender<io::Result<()>>),
}

impl Journal {
    /// Opens the journal of a run, keeping the lines of updates up to `step` and dropping what comes after them.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> io::Result<Self> {
        let kept = match (step, std::fs::read_to_string(path)) {
            (1.., Ok(text)) => text
                .lines()
                .filter(|line| is_up_to(line, step))
                .fold(String::new(), |kept, line| kept + line + "\n"),
            (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => String::new(),
        };
        let mut file = File::create(path)?;
        file.write_all(kept.as_bytes())?;
        file.flush()?;
        let (entries, received) = channel();
        thread::spawn(move || {
            // The first failure is kept until someone asks, and nothing is written after it.
            let mut state = Ok(());
            for entry in received {
                let line = match entry {
                    Entry::Train(report) => train_line(&report.get()),
                    Entry::Line(line) => line,
                    Entry::Flush(answer) => {
                        let result = std::mem::replace(&mut state, Ok(()));
                        let _ = answer.send(result.and_then(|()| file.sync_data()));
                        continue;
                    }
                };
                if state.is_ok() {
                    state = file.write_all(format!("{line}\n").as_bytes());
                }
            }
        });
        Ok(Self { entries })
    }

    /// Announces an update.
    pub fn update(&self, report: Deferred<Report>) {
        let _ = self.entries.send(Entry::Train(report));
    }

    /// An evaluation after `step` updates.
    pub fn evaluation(&self, step: u64, loss: f64) {
        self.line(json!({"kind": "eval", "step": step, "loss": loss, "perplexity": loss.exp()}));
    }

    /// A checkpoint after `step` updates.
    pub fn checkpoint(&self, step: u64, path: &str) {
        self.line(json!({"kind": "checkpoint", "step": step, "path": path}));
    }

    /// Anything else worth knowing.
    pub fn event(&self, step: u64, message: &str) {
        self.line(json!({"kind": "event", "step": step, "message": message}));
    }

    /// Waits until every line announced so far is on the disk.
    ///
    /// # Errors
    ///
    /// A line could not be written.
    pub fn flush(&self) -> io::Result<()> {
        let gone = || io::Error::other("the journal's thread has ended");
        let (answer, answered) = channel();
        self.entries
            .send(Entry::Flush(answer))
            .map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }

    fn line(&self, line: Value) {
        let _ = self.entries.send(Entry::Line(line));
    }
}

fn train_line(report: &Report) -> Value {
    let mut line = serde_json::to_value(report).unwrap_or_default();
    if let Some(line) = line.as_object_mut() {
        line.insert("kind".to_owned(), "train".into());
    }
    line
}

fn is_up_to(line: &str, step: u64) -> bool {
    let line: Result<Value, _> = serde_json::from_str(line);
    line.is_ok_and(|line| line["step"].as_u64().is_some_and(|found| found <= step))
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
            journal.evaluation(step, 2.0);
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
