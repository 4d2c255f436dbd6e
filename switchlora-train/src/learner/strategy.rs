//! A burn-train strategy that counts optimizer updates: it evaluates and saves every so many of them.
//!
//! burn-train's own strategies count epochs, step the learning rate with every micro-batch, sum accumulated gradients and
//! stop without saving. This one steps the rate with every update, averages, and saves when it is interrupted, while the
//! training goes on, and when something goes wrong.
//!
//! It takes the model out of the learner: the learner keeps the old one while the optimizer makes the new, so that every
//! parameter that changes is there twice and nothing can be updated in place.

use super::accumulate::mean;
use super::faults::Faults;
use super::journal::Journal;
use super::report::{Report, StepOutput, scalar};
use super::saving::Saver;
use super::shared::Shared;
use crate::checkpoint::Best;
use crate::data::{DataFault, TokenBatch};
use crate::experiment::LearningRateSchedule;
use crate::model::LlamaForCausalLm;
use anyhow::{Context, Result, anyhow};
use burn::data::dataloader::Progress as Items;
use burn::lr_scheduler::LrScheduler;
use burn::module::AutodiffModule;
use burn::optim::{GradientsAccumulator, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Device, Tensor};
use burn::train::{
    EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent,
    LearningComponentsMarker, SupervisedLearningStrategy, SupervisedTrainingEventProcessor,
    TrainLoader, TrainStep, TrainingComponents, TrainingItem, ValidLoader,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use switchlora_core::{ClipGradNorm, Deferred, MethodOptimizer, with_loss};

/// The optimizer of every method there is.
pub type Optim<B> = ClipGradNorm<MethodOptimizer<LlamaForCausalLm<B>, B>>;

/// What the learner is made of.
pub type Components<B> =
    LearningComponentsMarker<B, LearningRateSchedule, LlamaForCausalLm<B>, Shared<Optim<B>>>;

/// How many updates lie between what.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    /// Updates of the whole training.
    pub steps: u64,
    /// Micro-batches of an update.
    pub accumulation: usize,
    /// Tokens of an update.
    pub tokens: u64,
    /// Updates between two evaluations; 0 for one at the end only.
    pub eval_every: u64,
    /// Updates between two checkpoints; 0 for one at the end only.
    pub checkpoint_every: u64,
}

/// Where a run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Updates done.
    pub step: u64,
    /// Updates skipped because their loss or gradient norm was not finite.
    pub skipped: u64,
    /// Which of the last hundred updates were skipped.
    pub recent_skips: Vec<u64>,
    /// The last training loss.
    pub loss: Option<f64>,
    /// The last evaluation.
    pub evaluation: Option<Best>,
    /// The best evaluation of a state that is saved.
    pub best: Option<Best>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// All updates are done.
    Finished(Progress),
    /// Someone asked to stop; the work is saved.
    Interrupted(Progress),
    /// Something went wrong; what could be saved is.
    Failed(anyhow::Error, Progress),
}

/// The method, where it begins after updates in full rank.
pub struct SecondPhase<B: AutodiffBackend> {
    /// Updates in full rank.
    pub after: u64,
    /// Adapts the model, and makes the method's optimizer.
    #[allow(clippy::type_complexity)]
    pub begin: Box<dyn Fn(LlamaForCausalLm<B>) -> (LlamaForCausalLm<B>, Optim<B>) + Send + Sync>,
}

/// Trains by updates.
pub struct ByUpdates<B: AutodiffBackend> {
    /// The device it trains on.
    pub device: Device<B>,
    /// How many updates lie between what.
    pub spans: Spans,
    /// Where the run starts.
    pub start: Progress,
    /// The learner's optimizer.
    pub optimizer: Shared<Optim<B>>,
    /// What begins after updates in full rank, if the run starts with some.
    pub second: Option<SecondPhase<B>>,
    /// The learning rate of each update.
    pub schedule: LearningRateSchedule,
    /// What went wrong with the data, if its batches end early.
    pub data: DataFault,
    /// The run directory.
    pub out: PathBuf,
    /// The run's journal.
    pub journal: Journal,
    /// Saves checkpoints.
    pub saver: Box<dyn Saver<B>>,
    /// Told each thing that a person wants to read in plain output.
    pub say: fn(&str),
    /// How the run ended, once it has.
    pub outcome: Arc<Mutex<Option<Outcome>>>,
}

impl<B: AutodiffBackend> SupervisedLearningStrategy<Components<B>> for ByUpdates<B> {
    fn fit(
        &self,
        components: TrainingComponents<Components<B>>,
        mut learner: Learner<Components<B>>,
        train: TrainLoader<Components<B>>,
        valid: ValidLoader<Components<B>>,
        _starting_epoch: usize,
    ) -> (
        LlamaForCausalLm<B>,
        SupervisedTrainingEventProcessor<Components<B>>,
    ) {
        learner.fork(&self.device);
        let mut run = Run {
            by: self,
            events: components.event_processor,
            interrupter: components.interrupter,
            model: Some(learner.model()),
            schedule: self.schedule.clone(),
            learning_rate: 0.0,
            valid,
            faults: Faults::new(self.start.recent_skips.clone()),
            saved: (self.start.step > 0).then_some(self.start.step),
            progress: self.start.clone(),
            last_report: None,
            skipped: Arc::new(AtomicU64::new(self.start.skipped)),
            updated: Instant::now(),
            // The dashboard shows stretches between evaluations as epochs.
            stretch: 1,
        };
        drop(learner);
        let ended = run.train(train);
        let finished = run.progress.step >= self.spans.steps;
        let progress = run.progress.clone();
        let outcome = match ended {
            Err(error) => Outcome::Failed(error, progress),
            Ok(()) if finished => Outcome::Finished(progress),
            Ok(()) => Outcome::Interrupted(progress),
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        let model = run.model().clone();
        (model, run.events)
    }
}

/// A run under way.
struct Run<'a, B: AutodiffBackend> {
    by: &'a ByUpdates<B>,
    events: SupervisedTrainingEventProcessor<Components<B>>,
    interrupter: Interrupter,
    /// None only while the optimizer has it.
    model: Option<LlamaForCausalLm<B>>,
    schedule: LearningRateSchedule,
    /// That of the last update.
    learning_rate: f64,
    valid: ValidLoader<Components<B>>,
    faults: Faults,
    /// Updates before the newest checkpoint that is written and read back.
    saved: Option<u64>,
    progress: Progress,
    last_report: Option<Deferred<Report>>,
    skipped: Arc<AtomicU64>,
    updated: Instant,
    stretch: usize,
}

impl<B: AutodiffBackend> Run<'_, B> {
    /// The model between two updates.
    fn model(&self) -> &LlamaForCausalLm<B> {
        self.model
            .as_ref()
            .unwrap_or_else(|| unreachable!("the optimizer gives the model back"))
    }

    fn train(&mut self, batches: TrainLoader<Components<B>>) -> Result<()> {
        let ended = self.updates(batches).and_then(|()| self.written(true));
        ended.map_err(|error| self.keep(&error))
    }

    fn updates(&mut self, batches: TrainLoader<Components<B>>) -> Result<()> {
        let spans = self.by.spans;
        let mut batches = batches.iter();
        while self.progress.step < spans.steps {
            self.update(&mut *batches)?;
            self.settle(1)?;
            self.written(false)?;
            self.by
                .journal
                .check()
                .context("cannot write metrics.jsonl")?;
            let step = self.progress.step;
            let last = step == spans.steps;
            let due = |every: u64| last || (every > 0 && step.is_multiple_of(every));
            let save = due(spans.checkpoint_every);
            if due(spans.eval_every) && !self.interrupter.should_stop() {
                self.evaluate(save)?;
            }
            let stop = self.interrupter.should_stop();
            if save || stop {
                self.save()?;
            }
            // The next update's throughput is its own.
            if save || due(spans.eval_every) {
                self.updated = Instant::now();
            }
            if stop {
                break;
            }
        }
        Ok(())
    }

    /// One update. Whatever goes wrong in it, model and optimizer are as they were before.
    fn update(&mut self, batches: &mut dyn Iterator<Item = TokenBatch<B>>) -> Result<()> {
        self.begin_second_phase();
        let count = self.by.spans.accumulation;
        let mut sum = GradientsAccumulator::new();
        let mut losses = Vec::with_capacity(count);
        for _ in 0..count {
            let batch = batches.next().ok_or_else(|| self.ended_early())?;
            let model = self.model();
            let output = TrainStep::step(model, batch);
            sum.accumulate(model, output.grads);
            losses.push(output.item.loss);
        }
        let gradients = mean::<B, _>(&mut sum, self.model(), count);
        let loss = Tensor::cat(losses, 0).mean(); // [1]
        let gradients = with_loss(gradients, loss.clone());
        self.learning_rate = self.schedule.step();
        self.model = self.model.take().map(|model| {
            let mut optimizer = self.by.optimizer.lock();
            optimizer.step(self.learning_rate, model, gradients)
        });
        self.progress.step += 1;
        for remark in self.by.optimizer.lock().inner().remarks() {
            self.by.journal.event(self.progress.step, &remark);
            (self.by.say)(&format!("update {}: {remark}", self.progress.step));
        }
        let report = self.report(loss.clone());
        self.by.journal.update(report.clone());
        self.faults.watch(report.clone());
        self.last_report = Some(report.clone());
        let step = self.progress.step as usize;
        let mut output = StepOutput::new(loss);
        output.report = Some(report);
        let item = TrainingItem::new(
            output,
            Items::new(step, self.by.spans.steps as usize),
            self.stretches(),
            Some(step),
            Some(self.learning_rate),
        );
        self.events.process_train(LearnerEvent::ProcessedItem(item));
        Ok(())
    }

    /// The method takes over after the updates in full rank.
    fn begin_second_phase(&mut self) {
        let step = self.progress.step;
        let Some(second) = self.by.second.as_ref().filter(|s| s.after == step) else {
            return;
        };
        let mut optimizer = self.by.optimizer.lock();
        let skipped = optimizer.skipped();
        self.model = self.model.take().map(|model| {
            let (model, method) = (second.begin)(model);
            *optimizer = method.with_skipped(skipped);
            model
        });
        let message = format!("{step} updates in full rank are done, the method begins");
        self.by.journal.event(step, &message);
        (self.by.say)(&message);
    }

    /// The numbers of the update that has just been queued, which the reader thread fetches in time.
    fn report(&mut self, loss: Tensor<B::InnerBackend, 1>) -> Deferred<Report> {
        let (norm, switches) = {
            let optimizer = self.by.optimizer.lock();
            (optimizer.grad_norm(), optimizer.inner().last_switch_count())
        };
        let seconds = self.updated.elapsed().as_secs_f64();
        self.updated = Instant::now();
        let (step, spans) = (self.progress.step, self.by.spans);
        let (lr, skipped) = (self.learning_rate, self.skipped.clone());
        let first = (step - 1) * spans.accumulation as u64;
        Deferred::read(move || {
            let mut report = Report {
                step,
                loss: scalar(loss),
                lr,
                grad_norm: norm.map_or(f64::NAN, |norm| f64::from(norm.get())),
                tokens: step * spans.tokens,
                tokens_per_second: spans.tokens as f64 / seconds,
                switches,
                skipped: 0,
                batches: (first, first + spans.accumulation as u64 - 1),
            };
            // Reports are read in the order of the updates, so this counts those up to this one.
            let now = u64::from(!report.is_sound());
            report.skipped = skipped.fetch_add(now, Ordering::Relaxed) + now;
            if now > 0 {
                report.switches = 0;
            }
            report
        })
    }

    /// Hears about every update but the `later` newest.
    fn settle(&mut self, later: usize) -> Result<()> {
        let (journal, say) = (&self.by.journal, self.by.say);
        let heard = self.faults.settle(later, |report| {
            journal.skipped(report);
            say(&format!("skipped {}", report.fault()));
        });
        Ok(heard?)
    }

    /// Evaluates on the held-out text; if a checkpoint follows, it may be the best one.
    fn evaluate(&mut self, saved: bool) -> Result<()> {
        self.events
            .process_train(LearnerEvent::EndEpoch(self.stretch));
        let model = self.model().valid();
        let mut batches = self.valid.iter();
        let (mut sum, mut count) = (None, 0);
        let mut number = 0;
        while let Some(batch) = batches.next() {
            number += 1;
            let rows = batch.inputs.dims()[0];
            if self.interrupter.should_stop() {
                // Half an evaluation is none.
                return Ok(());
            }
            let output = model.step(batch);
            let weighted = output.loss.clone() * rows as f64;
            sum = Some(match sum {
                Some(sum) => sum + weighted,
                None => weighted,
            });
            count += rows;
            let item = TrainingItem::new(
                output,
                batches.progress(),
                self.stretches(),
                Some(number),
                None,
            );
            self.events.process_valid(LearnerEvent::ProcessedItem(item));
        }
        if batches.progress().items_processed < batches.progress().items_total {
            return Err(self.ended_early());
        }
        self.events
            .process_valid(LearnerEvent::EndEpoch(self.stretch));
        self.stretch += 1;
        let step = self.progress.step;
        let loss = sum.map_or(f64::NAN, |sum| scalar(sum) / f64::from(count as u32));
        let found = Best { step, loss };
        let better = self.progress.best.is_none_or(|best| loss < best.loss);
        self.progress.evaluation = Some(found);
        if saved && loss.is_finite() && better {
            self.progress.best = Some(found);
        }
        self.by.journal.evaluation(step, loss);
        (self.by.say)(&format!(
            "update {step}: validation loss {loss:.4}, perplexity {:.2}",
            loss.exp()
        ));
        Ok(())
    }

    /// Copies the state to the host and begins to write it, once the checkpoint before is written.
    fn save(&mut self) -> Result<()> {
        self.settle(0)?;
        self.written(true)?;
        if let Some(report) = &self.last_report {
            self.progress.loss = Some(report.get().loss);
        }
        self.progress.recent_skips = self.faults.recent();
        let optimizer = self.by.optimizer.lock();
        self.progress.skipped = optimizer.skipped();
        self.by
            .saver
            .begin(self.model(), &optimizer, &self.progress)
    }

    /// Hears about the checkpoint that is being written, waiting for it if `wait`.
    fn written(&mut self, wait: bool) -> Result<()> {
        if let Some(saved) = self.by.saver.finished(wait)? {
            self.saved = Some(saved.step);
        }
        Ok(())
    }

    /// Saves what there is after `error`, and says what came of that.
    fn keep(&mut self, error: &anyhow::Error) -> anyhow::Error {
        let step = self.progress.step;
        // A checkpoint and a verdict may still be on their way; if they are bad as well, the reason is the one we have.
        let _ = self.written(true);
        let _ = self.settle(0);
        if step > self.by.start.step && self.saved != Some(step) {
            let _ = self.save().and_then(|()| self.written(true));
        }
        let out = self.by.out.display();
        match self.saved {
            Some(saved) if saved == step => anyhow!(
                "{error:#}. Everything up to update {step} is saved: go on with --out {out} --resume"
            ),
            Some(saved) => anyhow!(
                "{error:#}. Stopped after update {step}, the last good checkpoint is of update {saved}: go on with \
                 --out {out} --resume"
            ),
            None => anyhow!("{error:#}. Stopped after update {step}, there is no checkpoint"),
        }
    }

    /// Why there is no batch where there should be one.
    fn ended_early(&self) -> anyhow::Error {
        match self.by.data.take() {
            Some(error) => error.into(),
            None => anyhow!(
                "the training text ended before update {}",
                self.by.spans.steps
            ),
        }
    }

    fn stretches(&self) -> Items {
        let every = match self.by.spans.eval_every {
            0 => self.by.spans.steps,
            every => every,
        };
        let total = self.by.spans.steps.div_ceil(every.max(1)) as usize;
        Items::new(self.stretch.min(total), total)
    }
}
