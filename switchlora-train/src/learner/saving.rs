//! Saves checkpoints while the training goes on: it waits for the copy to the host, a thread of its own waits for the disk.

use super::journal::Journal;
use super::session::Session;
use super::strategy::{Optim, Progress};
use crate::checkpoint::{self, FORMAT, Saved, Snapshot, State};
use crate::model::{HostParameters, LlamaForCausalLm, parameter_names};
use anyhow::{Context, Result};
use burn::module::AutodiffModule;
use burn::optim::Optimizer;
use burn::tensor::backend::AutodiffBackend;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Saves the state of a run.
pub trait Saver<B: AutodiffBackend>: Send + Sync {
    /// Copies model and optimizer to the host and begins to write them. What was begun before must have been
    /// [heard of](Self::finished).
    ///
    /// # Errors
    ///
    /// Writing could not begin.
    fn begin(
        &self,
        model: &LlamaForCausalLm<B>,
        optimizer: &Optim<B>,
        progress: &Progress,
    ) -> Result<()>;

    /// The checkpoint that has been written and read back since last asked; if `wait`, the one that is being written.
    ///
    /// # Errors
    ///
    /// It could not be written.
    fn finished(&self, wait: bool) -> Result<Option<Saved>>;
}

/// Saves checkpoints in the run directory.
pub(super) struct ToFolder {
    session: Session,
    journal: Journal,
    writing: Mutex<Option<JoinHandle<Result<Saved>>>>,
}

impl ToFolder {
    pub fn new(session: Session, journal: Journal) -> Self {
        Self {
            session,
            journal,
            writing: Mutex::new(None),
        }
    }
}

impl<B: AutodiffBackend> Saver<B> for ToFolder {
    fn begin(
        &self,
        model: &LlamaForCausalLm<B>,
        optimizer: &Optim<B>,
        progress: &Progress,
    ) -> Result<()> {
        let began = Instant::now();
        let snapshot = self.session.snapshot(model, optimizer, progress);
        let waited = began.elapsed().as_secs_f64();
        let (run, journal) = (self.session.out.clone(), self.journal.clone());
        let keep = self.session.experiment.keep;
        // While updates fail the state does not get better: older checkpoints stay until one succeeds.
        let sound = !progress.recent_skips.contains(&progress.step);
        let best = snapshot.state.best.map(|best| best.step);
        let write = move || -> Result<Saved> {
            // What a checkpoint says has been done is in the journal before the checkpoint exists.
            journal.flush().context("cannot write metrics.jsonl")?;
            let saved = checkpoint::write(&run, snapshot)?;
            if sound {
                checkpoint::prune(&run, keep, best)?;
            }
            let path = saved.path.strip_prefix(&run).unwrap_or(&saved.path);
            let seconds = began.elapsed().as_secs_f64();
            journal.checkpoint(&saved, &path.display().to_string(), waited, seconds);
            Ok(saved)
        };
        let thread = thread::Builder::new().name("checkpoint".to_owned());
        let thread = thread.spawn(write).context("cannot start a thread")?;
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    fn finished(&self, wait: bool) -> Result<Option<Saved>> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = writing.take_if(|thread| wait || thread.is_finished()) else {
            return Ok(None);
        };
        let ended = thread.join();
        ended
            .map_err(|_| anyhow::anyhow!("the thread that writes checkpoints ended early"))?
            .map(Some)
    }
}

impl Session {
    /// The state of the run, copied to the host.
    fn snapshot<B: AutodiffBackend>(
        &self,
        model: &LlamaForCausalLm<B>,
        optimizer: &Optim<B>,
        progress: &Progress,
    ) -> Snapshot {
        let names = parameter_names::<B, _>(model);
        let (record, skipped) = Optimizer::<LlamaForCausalLm<B>, B>::to_record(optimizer);
        let (tensors, host) = checkpoint::split(record, &names);
        let state = State {
            format: FORMAT,
            step: progress.step,
            tokens: progress.step * self.experiment.tokens_per_update(),
            batches: progress.step * self.experiment.accumulation as u64,
            skipped,
            recent_skips: progress.recent_skips.clone(),
            experiment: self.experiment.clone(),
            model: self.model.clone(),
            method: self.layers_at(progress.step),
            factors: self.method.factors,
            tokenizer_sha256: self.tokenizer.sha256(),
            data_sha256: self.data_sha256.clone(),
            best: progress.best,
            optimizer: host,
        };
        Snapshot {
            state,
            model: HostParameters::copy::<B::InnerBackend, _>(&model.valid()),
            optimizer: tensors,
            tokenizer: self.tokenizer.shared_json(),
        }
    }
}
