//! Puts a run together: model, optimizer, data, learner, strategy; and starts it.

use super::dashboard::Dashboard;
use super::journal::Journal;
use super::metrics::ReportMetric;
use super::plain::PlainRenderer;
use super::saving::ToFolder;
use super::shared::Shared;
use super::strategy::{ByUpdates, Optim, Outcome, Progress, SecondPhase, Spans};
use crate::backend::Job;
use crate::checkpoint::{self, Checkpoint};
use crate::data::{DataFault, Tokenizer, TrainBatches, ValidationBatches};
use crate::experiment::{Experiment, LearningRateSchedule, WarmStart};
use crate::huggingface::Pretrained;
use crate::memory;
use crate::model::{LlamaConfig, LlamaForCausalLm, import, parameter_names};
use crate::quietly::panic_message;
use crate::say::say;
use anyhow::{Context, Result, anyhow};
use burn::optim::Optimizer;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::train::metric::{CpuMemory, CpuUse, CudaMetric};
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use switchlora_core::{Algorithm, ClipGradNorm, Precision, SwitchLoraConfig, SwitchSchedule};

/// How a run shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// burn-train's terminal dashboard.
    Dashboard,
    /// Plain lines.
    Plain,
}

/// A run that is ready to start.
#[derive(Clone)]
pub struct Session {
    /// The resolved experiment.
    pub experiment: Experiment,
    /// The model.
    pub model: LlamaConfig,
    /// The method.
    pub method: SwitchLoraConfig,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The training batches.
    pub train: TrainBatches,
    /// The evaluation batches.
    pub validation: ValidationBatches,
    /// SHA-256 of the tokens it is trained on, and of those it is evaluated on.
    pub data_sha256: String,
    /// The run directory, which exists.
    pub out: PathBuf,
    /// The checkpoint to go on from.
    pub from: Option<Checkpoint>,
    /// The weights that a new run starts with; drawn at random if there are none.
    pub pretrained: Option<Pretrained>,
    /// How it shows itself.
    pub display: Display,
    /// Stops the run.
    pub interrupter: Interrupter,
}

/// The model of a checkpoint, in the types of numbers that it was trained in where the device has them, else in f32.
///
/// # Errors
///
/// The weights cannot be read or do not fit the model.
pub fn load_model<B: Backend>(
    checkpoint: &Checkpoint,
    device: &B::Device,
) -> Result<LlamaForCausalLm<B>> {
    let place = || checkpoint.path().display().to_string();
    let tensors = checkpoint.model().with_context(place)?;
    let state = &checkpoint.state;
    let here = |precision: Precision| match B::supports_dtype(device, precision.dtype()) {
        true => precision,
        false => Precision::F32,
    };
    let method = SwitchLoraConfig {
        factors: state.factors,
        precision: here(state.method.precision),
        frozen: here(state.method.frozen),
        ..state.method.clone()
    };
    let model = LlamaForCausalLm::new(&state.model, &method, 0, device);
    import::<B, _>(model, tensors).with_context(place)
}

impl Job for Session {
    /// How it ended.
    type Output = Result<Outcome>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<Outcome> {
        memory::keep_pages();
        let experiment = &self.experiment;
        let (model, optimizer, start) = self.start::<B>(&device)?;
        let spans = Spans {
            steps: experiment.steps,
            accumulation: experiment.accumulation,
            tokens: experiment.tokens_per_update(),
            eval_every: experiment.eval_every,
            checkpoint_every: experiment.checkpoint_every,
        };
        let path = self.out.join("metrics.jsonl");
        let journal = Journal::open(&path, start.step)
            .with_context(|| format!("cannot write {}", path.display()))?;
        if start.step > 0 {
            journal.event(start.step, "resumed");
        }
        let micro = |step: u64| step * experiment.accumulation as u64;
        let data = DataFault::default();
        let range = micro(start.step)..micro(spans.steps);
        let train = self.train.loader::<B>(range, &device);
        let train = Arc::new(train.reporting_to(&data));
        let valid = self.validation.loader::<B::InnerBackend>(&device);
        let valid = Arc::new(valid.reporting_to(&data));
        let optimizer = Shared::new(optimizer);
        let schedule = LearningRateSchedule::of(experiment, start.step);
        let outcome = Arc::new(Mutex::new(None));
        let on = device.clone();
        let strategy = ByUpdates {
            device,
            spans,
            start,
            optimizer: optimizer.clone(),
            second: self.second_phase()?,
            schedule: schedule.clone(),
            data,
            out: self.out.clone(),
            journal: journal.clone(),
            saver: Box::new(ToFolder::new(self.clone(), journal.clone())),
            say: match self.display {
                Display::Plain => |line| say(line),
                Display::Dashboard => |_| {},
            },
            outcome: outcome.clone(),
        };
        let training = SupervisedTraining::new(&self.out, train, valid)
            .num_epochs(1)
            .with_interrupter(self.interrupter.clone())
            .with_metric_logger(burn::train::logger::InMemoryMetricLogger::new())
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)))
            .metric_train_numeric(ReportMetric::loss())
            .metric_valid_numeric(ReportMetric::loss())
            .metric_train_numeric(ReportMetric::perplexity())
            .metric_valid_numeric(ReportMetric::perplexity())
            .metric_train_numeric(ReportMetric::learning_rate())
            .metric_train_numeric(ReportMetric::tokens_per_second())
            .metric_train_numeric(ReportMetric::switches())
            .metric_train_numeric(ReportMetric::grad_norm());
        let training = match self.display {
            Display::Plain => training.renderer(PlainRenderer::default()),
            Display::Dashboard => training
                .metric_train_numeric(CpuUse::new())
                .metric_train_numeric(CpuMemory::new())
                .renderer(Dashboard::new(self.interrupter.clone())),
        };
        let training = match B::name(&on).contains("cuda") {
            true => training.metric_train(CudaMetric::new()),
            false => training,
        };
        let learner = Learner::new(model, optimizer, schedule);
        let launched = panic::catch_unwind(AssertUnwindSafe(|| training.launch(learner)));
        // The terminal is the person's again once the renderer is gone.
        let launched = launched.map(drop);
        let ended = outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let (Err(reason), None) = (launched, &ended) {
            let (reason, out) = (panic_message(&*reason), self.out.display());
            return Err(anyhow!(
                "the training broke off ({reason}); what was saved before is whole: go on with --out {out} --resume"
            ));
        }
        let written = match &ended {
            Some(Outcome::Failed(error, progress)) => {
                journal.event(progress.step, &format!("{error:#}"));
                // Should this fail, what made the run fail is the better answer.
                let _ = journal.flush();
                Ok(())
            }
            _ => journal.flush(),
        };
        written.with_context(|| format!("cannot write {}", path.display()))?;
        ended.context("the training loop ended without saying how")
    }
}

impl Session {
    /// The layers of the model after `step` updates: without factors while it is trained in full rank.
    ///
    /// The method begins with the update that follows, so the last of these states is that after all of them.
    pub(super) fn layers_at(&self, step: u64) -> SwitchLoraConfig {
        let full_rank = self.experiment.full_rank_updates();
        match full_rank > 0 && step <= full_rank {
            false => self.method.clone(),
            true => SwitchLoraConfig {
                rank: None,
                schedule: SwitchSchedule::Never,
                ..self.method.clone()
            },
        }
    }

    /// The optimizer of the state after `step` updates, empty.
    fn optimizer<B: AutodiffBackend>(&self, step: u64) -> Result<Optim<B>> {
        let full_rank = self.experiment.full_rank_updates();
        let algorithm = match full_rank > 0 && step <= full_rank {
            false => self.experiment.algorithm()?,
            true => Algorithm::SwitchLora,
        };
        let optimizer = algorithm.optimizer(&self.layers_at(step));
        Ok(ClipGradNorm::new(self.experiment.clip, optimizer))
    }

    /// The method, if it begins after updates in full rank.
    fn second_phase<B: AutodiffBackend>(&self) -> Result<Option<SecondPhase<B>>> {
        let after = self.experiment.full_rank_updates();
        if after == 0 {
            return Ok(None);
        }
        let optimizer = self.optimizer::<B>(after + 1)?;
        let (method, seed) = (self.method.clone(), self.experiment.seed);
        let begin = Box::new(move |model: LlamaForCausalLm<B>| {
            (model.adapted(&method, seed), optimizer.clone())
        });
        Ok(Some(SecondPhase { after, begin }))
    }

    /// The model that a new run starts from.
    fn new_model<B: AutodiffBackend>(&self, device: &B::Device) -> Result<LlamaForCausalLm<B>> {
        let seed = self.experiment.seed;
        let Some(WarmStart::From(path)) = &self.experiment.warm_start else {
            let layers = self.layers_at(0);
            return Ok(match &self.pretrained {
                Some(pretrained) => pretrained
                    .load::<B>(&self.method, device)?
                    .adapted(&layers, seed),
                None => LlamaForCausalLm::new(&self.model, &layers, seed, device),
            });
        };
        let checkpoint = checkpoint::resolve(path)
            .context("the run to start from (warm-start)")?
            .checkpoint;
        let place = || format!("cannot start from {}", checkpoint.path().display());
        let state = &checkpoint.state;
        if state.tokenizer_sha256 != self.tokenizer.sha256() {
            return Err(anyhow!(
                "its tokenizer is another one: give --tokenizer {}",
                checkpoint.path().join(checkpoint::TOKENIZER).display()
            ))
            .with_context(place);
        }
        let layers = SwitchLoraConfig {
            factors: state.factors,
            precision: self.method.precision,
            frozen: Precision::F32,
            ..state.method.clone()
        };
        let tensors = checkpoint.model().with_context(place)?;
        let model = LlamaForCausalLm::new(&self.model, &layers, 0, device);
        let model = import::<B, _>(model, tensors).with_context(place)?;
        Ok(model.adapted(&self.method, seed))
    }

    /// Model, optimizer and position of a new run, or of the checkpoint to go on from.
    fn start<B: AutodiffBackend>(
        &self,
        device: &B::Device,
    ) -> Result<(LlamaForCausalLm<B>, Optim<B>, Progress)> {
        let Some(checkpoint) = &self.from else {
            return Ok((
                self.new_model(device)?,
                self.optimizer(0)?,
                Progress::default(),
            ));
        };
        let state = &checkpoint.state;
        let place = || checkpoint.path().display().to_string();
        let model = load_model::<B>(checkpoint, device)?;
        let tensors = checkpoint.optimizer().with_context(place)?;
        let names = parameter_names::<B, _>(&model);
        let record = checkpoint::join(tensors, state.optimizer.clone(), &names)
            .map_err(|reason| anyhow!("{}: {reason}", place()))?;
        let kept = |best: &checkpoint::Best| checkpoint::exists(&self.out, best.step);
        let progress = Progress {
            step: state.step,
            skipped: state.skipped,
            recent_skips: state.recent_skips.clone(),
            // The best may have been removed, or set aside as damaged.
            best: state.best.filter(kept),
            evaluation: state.best,
            loss: None,
        };
        let optimizer = self.optimizer::<B>(state.step)?;
        let optimizer =
            Optimizer::<LlamaForCausalLm<B>, B>::load_record(optimizer, (record, state.skipped));
        Ok((model, optimizer, progress))
    }
}
