//! Writes checkpoints while the training goes on: the training waits until the state is on the host, a thread waits for
//! the disk.
//!
//! On Flex the state on the host is that of the training itself, and the next step of the optimizer [waits](Lease) until it
//! has been handed to the system.

use super::journal::Journal;
use crate::checkpoint::{self, Saved, Snapshot};
use crate::say::warn;
use crate::training::Lease;
use anyhow::{Context, Result, anyhow};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Writes the checkpoints of a run, one at a time.
pub(super) struct Writer {
    /// The run directory.
    run: PathBuf,
    /// How many of the newest checkpoints to keep, besides the best.
    keep: usize,
    journal: Journal,
    writing: Option<JoinHandle<Result<Saved>>>,
    /// That of the state that is being written.
    pub lease: Lease,
    /// Updates before the newest checkpoint that is written and read back.
    pub saved: Option<u64>,
}

impl Writer {
    /// A writer for the run directory `run`, whose newest checkpoint is that of update `saved`.
    pub fn new(run: PathBuf, keep: usize, journal: Journal, saved: Option<u64>) -> Self {
        Self {
            run,
            keep,
            journal,
            writing: None,
            lease: Lease::default(),
            saved,
        }
    }

    /// Begins to write a snapshot, whose copying to the host began at `began`. The checkpoint before must have been
    /// [waited for](Self::settle).
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn begin(&mut self, snapshot: Snapshot, began: Instant) -> Result<()> {
        let waited = began.elapsed().as_secs_f64();
        let (run, journal, keep) = (self.run.clone(), self.journal.clone(), self.keep);
        let state = &snapshot.state;
        // While updates are skipped the state does not get better: older checkpoints stay until one is done.
        let sound = !state.recent_skips.contains(&state.step);
        let best = state.best.map(|best| best.step);
        let (lease, reading) = Lease::new();
        self.lease = lease;
        let write = move || -> Result<Saved> {
            // The journal has every update of the checkpoint before the checkpoint exists.
            journal.flush().context("cannot write metrics.jsonl")?;
            let saved = checkpoint::write(&run, snapshot, || drop(reading))?;
            if sound {
                checkpoint::prune(&run, keep, best)?.iter().for_each(warn);
            }
            let path = saved.path.strip_prefix(&run).unwrap_or(&saved.path);
            let seconds = began.elapsed().as_secs_f64();
            journal.checkpoint(&saved, &path.display().to_string(), waited, seconds);
            Ok(saved)
        };
        let thread = thread::Builder::new().name("checkpoint".to_owned());
        self.writing = Some(thread.spawn(write).context("cannot start a thread")?);
        Ok(())
    }

    /// Takes note of the checkpoint that is being written if it is done, or waits for it (`wait`).
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn settle(&mut self, wait: bool) -> Result<()> {
        let writing = &mut self.writing;
        if let Some(thread) = writing.take_if(|thread| wait || thread.is_finished()) {
            let ended = thread.join();
            let saved =
                ended.map_err(|_| anyhow!("the thread that writes checkpoints ended early"))??;
            self.saved = Some(saved.step);
        }
        Ok(())
    }
}
