//! The loop of a run: when it evaluates, saves and stops, what it writes to the journal, and what it says.
//!
//! It saves at intervals, at the end, when it is interrupted, and when something goes wrong.

use super::events::Events;
use super::faults::Faults;
use super::journal::Journal;
use super::progress::Progress;
use super::saving::Writer;
use crate::checkpoint::{Evaluation, Snapshot, State};
use crate::data::{DataFault, TokenBatch};
use crate::metrics::Scores;
use crate::processes::{Different, any, busy};
use crate::training::{Evaluated, Report, Setup, Training, UpdateError};
use anyhow::{Context, Result, anyhow, bail};
use burn::data::dataloader::DataLoader;
use burn::tensor::backend::AutodiffBackend;
use burn::train::Interrupter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;
use switchlora_core::Deferred;

/// A run before it starts: everything but the training itself.
pub(super) struct Plan {
    pub setup: Arc<Setup>,
    pub data_sha256: String,
    /// Where the run starts.
    pub start: Progress,
    /// Why batches ended early, if they did.
    pub data: DataFault,
    /// The run directory.
    pub out: PathBuf,
    pub journal: Journal,
    /// Whether this process writes the checkpoints: the first one does.
    pub writes: bool,
    /// Prints a line in plain output.
    pub say: fn(&str),
}

/// Whether something that is due `every` so many updates, and after the last of them, is due after `step` updates.
fn is_due(every: u64, step: u64, steps: u64) -> bool {
    step == steps || (every > 0 && step.is_multiple_of(every))
}

/// Batches of burn-train.
pub(super) type Loader<B> = Arc<dyn DataLoader<B, TokenBatch<B>>>;

/// A run under way.
pub(super) struct Run<'a, B: AutodiffBackend> {
    plan: &'a Plan,
    pub training: Training<B>,
    pub events: Events<B>,
    pub progress: Progress,
    interrupter: Interrupter,
    valid: Loader<B::InnerBackend>,
    writer: Writer,
    faults: Faults,
    last_report: Option<Deferred<Report>>,
    /// Updates skipped so far, counted by the reader thread.
    skipped: Arc<AtomicU64>,
    /// The end of the last update, evaluation or save.
    updated: Instant,
}

impl<'a, B: AutodiffBackend> Run<'a, B> {
    pub fn new(
        plan: &'a Plan,
        training: Training<B>,
        events: Events<B>,
        interrupter: Interrupter,
        valid: Loader<B::InnerBackend>,
    ) -> Self {
        let progress = plan.start.clone();
        let (out, keep) = (plan.out.clone(), plan.setup.experiment.keep);
        let saved = (progress.step > 0).then_some(progress.step);
        Self {
            plan,
            training,
            events,
            interrupter,
            valid,
            writer: Writer::new(out, keep, plan.journal.clone(), saved),
            faults: Faults::new(progress.recent_skips.clone()),
            last_report: None,
            skipped: Arc::new(AtomicU64::new(progress.skipped)),
            updated: Instant::now(),
            progress,
        }
    }

    /// Trains to the end, or until it is interrupted.
    ///
    /// # Errors
    ///
    /// Text, journal or checkpoint cannot be read or written, or too many updates were skipped. The state is saved if
    /// it can be, and the error says from which checkpoint the run can go on.
    pub fn train(&mut self, batches: Loader<B>) -> Result<()> {
        let ended = self.updates(&mut *batches.iter());
        let ended = ended.and_then(|()| self.written());
        ended.map_err(|error| self.keep(error))
    }

    fn updates(&mut self, batches: &mut dyn Iterator<Item = TokenBatch<B>>) -> Result<()> {
        let experiment = &self.plan.setup.experiment;
        if self.is_asked_to_stop()? {
            // Asked while the model was loaded: nothing is new.
            return Ok(());
        }
        if self.lacks_evaluation()? {
            self.evaluate(true)?;
            if self.is_asked_to_stop()? {
                return Ok(());
            }
            self.updated = Instant::now();
        }
        while self.progress.step < experiment.steps && !self.is_done_early() {
            self.update(batches)?;
            self.settle(1)?;
            self.writer.settle(false)?;
            let journal = &self.plan.journal;
            journal.check().context("cannot write metrics.jsonl")?;
            let step = self.progress.step;
            let due = |every| is_due(every, step, experiment.steps);
            let (evaluate, save) = (due(experiment.eval_every), due(experiment.checkpoint_every));
            let mut stop = self.is_asked_to_stop()?;
            if evaluate && !stop {
                self.evaluate(save)?;
                stop = self.is_asked_to_stop()?;
            }
            if save || stop {
                self.is_in_place()?;
                self.save()?;
            }
            // Evaluating and saving do not count for the throughput of the next update.
            if save || evaluate {
                self.updated = Instant::now();
            }
            if stop {
                break;
            }
        }
        Ok(())
    }

    /// Refuses to go on where the folder of the run is not what it was: its journal goes nowhere.
    fn is_in_place(&self) -> Result<()> {
        let out = &self.plan.out;
        if self.plan.writes && !out.join("metrics.jsonl").exists() {
            bail!(
                "{} was moved or removed while the run trained, with its journal and its older checkpoints",
                out.display()
            );
        }
        Ok(())
    }

    /// Whether the run was interrupted in the evaluation of the state that it goes on from.
    fn lacks_evaluation(&self) -> Result<bool> {
        let (step, experiment) = (self.progress.step, &self.plan.setup.experiment);
        let due = step > 0 && is_due(experiment.eval_every, step, experiment.steps);
        let done = self
            .progress
            .evaluation
            .is_some_and(|done| done.step == step);
        // The first process has the journal.
        let lacks = self.plan.writes && due && !done;
        Ok(any(self.training.processes(), lacks)?)
    }

    /// Whether a fine-tuning has had as many evaluations without a better one as its patience allows.
    fn is_done_early(&mut self) -> bool {
        let experiment = &self.plan.setup.experiment;
        let patience = experiment.task.as_ref().map_or(0, |task| task.patience);
        let (Some(best), true) = (self.progress.best, patience > 0) else {
            return false;
        };
        let evaluations = (self.progress.step - best.step) / experiment.eval_every.max(1);
        self.progress.is_done_early = evaluations >= patience;
        self.progress.is_done_early
    }

    /// Whether any process is asked to stop.
    fn is_asked_to_stop(&self) -> Result<bool> {
        let asked = self.interrupter.should_stop();
        Ok(any(self.training.processes(), asked)?)
    }

    /// Does one update and announces it. If that fails, the training is as it was before.
    fn update(&mut self, batches: &mut dyn Iterator<Item = TokenBatch<B>>) -> Result<()> {
        let update = self.training.update(batches, &mut self.writer.lease);
        let update = update.map_err(|error| match error {
            UpdateError::OutOfBatches(_) => self.ended_early(error),
            lost => lost.into(),
        })?;
        let step = update.step;
        if update.method_began {
            let done = self.progress.step;
            let message = format!("{done} updates in full rank are done, the method begins");
            self.plan.journal.event(done, &message);
            (self.plan.say)(&message);
        }
        self.progress.step = step;
        for remark in self.training.optimizer().inner().remarks() {
            self.plan.journal.event(step, &remark);
            (self.plan.say)(&format!("update {step}: {remark}"));
        }
        let seconds = self.updated.elapsed().as_secs_f64();
        self.updated = Instant::now();
        let report = update.report(seconds, self.skipped.clone());
        self.plan.journal.update(report.clone());
        self.faults.watch(report.clone());
        self.last_report = Some(report.clone());
        self.events.update(update, report);
        Ok(())
    }

    /// Takes note of the verdict about every update but the `later` newest.
    fn settle(&mut self, later: usize) -> Result<()> {
        let (journal, say) = (&self.plan.journal, self.plan.say);
        let heard = self.faults.settle(later, |report| {
            journal.skipped(report);
            say(&format!("skipped {}", report.fault()));
        });
        Ok(heard?)
    }

    /// Evaluates on the held-out text. The evaluation can become the best one if the state is `saved` next.
    fn evaluate(&mut self, saved: bool) -> Result<()> {
        let Self {
            events,
            interrupter,
            valid,
            ..
        } = self;
        events.evaluating();
        let total = valid.num_items();
        let (mut number, mut stopped) = (0, false);
        let batches = valid.iter().take_while(|_| {
            stopped = interrupter.should_stop();
            !stopped
        });
        let each = |loss| {
            number += 1;
            events.batch(number, total, loss);
        };
        let evaluated = self.training.evaluate(batches, total, each)?;
        let step = self.progress.step;
        if number < total && !stopped {
            return Err(self.ended_early(UpdateError::OutOfBatches(step)));
        }
        let Some(Evaluated { loss, scores }) = evaluated else {
            // Half an evaluation is none.
            return Ok(());
        };
        self.events.evaluated();
        let task = self.plan.setup.task.as_ref();
        let scores = task.and_then(|task| task.judge(&scores));
        let found = Evaluation {
            step,
            loss,
            score: scores.as_ref().map(Scores::mean),
        };
        self.progress.evaluation = Some(found);
        if saved {
            self.progress.found(found);
        }
        self.plan.journal.evaluation(found, scores.as_ref());
        let judged = match &scores {
            Some(scores) => scores.to_string(),
            None => format!("perplexity {:.2}", loss.exp()),
        };
        (self.plan.say)(&format!(
            "update {step}: validation loss {loss:.4}, {judged}"
        ));
        Ok(())
    }

    /// Copies the state to the host, makes sure that all processes have the same, and begins to write it, after the
    /// checkpoint before is written.
    fn save(&mut self) -> Result<()> {
        let (snapshot, began) = self.snapshot()?;
        let snapshot = self.training.agreed(snapshot)?;
        self.write(snapshot, began)
    }

    /// Copies the state to the host. Also returns when that began.
    fn snapshot(&mut self) -> Result<(Snapshot, Instant)> {
        self.settle(0)?;
        self.written()?;
        if let Some(report) = &self.last_report {
            self.progress.loss = Some(report.get().loss);
        }
        self.progress.recent_skips = self.faults.recent();
        self.progress.skipped = self.training.optimizer().skipped();
        let began = Instant::now();
        let Plan {
            setup, data_sha256, ..
        } = self.plan;
        let state = State {
            recent_skips: self.progress.recent_skips.clone(),
            best: self.progress.best,
            ..setup.state(self.progress.step, data_sha256)
        };
        let tokenizer = setup.tokenizer.shared_json();
        Ok((self.training.snapshot(state, tokenizer), began))
    }

    /// Waits until the checkpoint under way is written. The other processes wait as long as this one lives: its disk may be
    /// slow.
    fn written(&mut self) -> Result<()> {
        let writer = &mut self.writer;
        busy(self.training.processes(), || writer.settle(true))
    }

    fn write(&mut self, snapshot: Snapshot, began: Instant) -> Result<()> {
        match self.plan.writes {
            true => self.writer.begin(snapshot, began),
            false => Ok(()),
        }
    }

    /// Saves the state after `error` and adds to it from which checkpoint the run can go on.
    fn keep(&mut self, error: anyhow::Error) -> anyhow::Error {
        let step = self.progress.step;
        if !self.plan.writes {
            let again = self.plan.setup.again(&self.plan.out);
            // Reported here only if the first process is lost, which else says what it has saved.
            return match self.training.processes().lost() {
                Some(_) => anyhow!("{error:#}. Go on with {again}"),
                None => error,
            };
        }
        // A checkpoint and a verdict may still be pending. If they are bad too, the first error is reported.
        let _ = self.written();
        let _ = self.settle(0);
        let new = step > self.plan.start.step && self.writer.saved != Some(step);
        // What differs between processes is of no use. Whether it does cannot be asked any more if one is lost; nor can the
        // moments that others keep.
        if new && !error.is::<Different>() && !self.training.is_divided() {
            let saved = self
                .snapshot()
                .and_then(|(snapshot, began)| self.write(snapshot, began));
            let _ = saved.and_then(|()| self.written());
        }
        let again = self.plan.setup.again(&self.plan.out);
        match self.writer.saved {
            Some(saved) if saved == step => {
                anyhow!("{error:#}. Everything up to update {step} is saved: go on with {again}")
            }
            Some(saved) => anyhow!(
                "{error:#}. Stopped after update {step}, the last good checkpoint is of update {saved}: go on with {again}"
            ),
            None => anyhow!("{error:#}. Stopped after update {step}, there is no checkpoint"),
        }
    }

    /// Why there are too few batches.
    fn ended_early(&self, ended: UpdateError) -> anyhow::Error {
        let fault = self.plan.data.take();
        fault.map_or_else(|| ended.into(), Into::into)
    }
}
