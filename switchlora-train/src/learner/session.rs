//! Puts a run together: model, optimizer, data, learner, strategy; and starts it.

use super::dashboard::Dashboard;
use super::journal::Journal;
use super::metrics::ReportMetric;
use super::plain::PlainRenderer;
use super::schedule::LearningRateSchedule;
use super::shared::Shared;
use super::strategy::{ByUpdates, Optim, Outcome, Progress, Saver, Spans};
use crate::backend::Job;
use crate::checkpoint::{self, OPTIMIZER, State};
use crate::data::{Tokenizer, TrainBatches, ValidationBatches};
use crate::experiment::Experiment;
use crate::memory;
use crate::model::{LlamaConfig, LlamaForCausalLm, export, import, parameter_names};
use anyhow::{Context, Result};
use burn::module::AutodiffModule;
use burn::optim::Optimizer;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::train::metric::{CpuMemory, CpuUse, CudaMetric};
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use switchlora_core::{ClipGradNorm, SwitchLoraConfig};

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
    /// The run directory, which exists.
    pub out: PathBuf,
    /// The checkpoint to go on from, with its state.
    pub resume: Option<(PathBuf, State)>,
    /// How it shows itself.
    pub display: Display,
    /// Stops the run.
    pub interrupter: Interrupter,
}

/// The model of a checkpoint.
///
/// # Errors
///
/// The weights cannot be read or do not fit the model.
pub fn load_model<B: Backend>(
    checkpoint: &Path,
    state: &State,
    device: &B::Device,
) -> Result<LlamaForCausalLm<B>> {
    let path = checkpoint.join(checkpoint::MODEL);
    let tensors = checkpoint::read_tensors(&path)?;
    let model = LlamaForCausalLm::new(&state.model, &state.method, state.factors, 0, device);
    import::<B, _>(model, tensors).with_context(|| path.display().to_string())
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
        let train = Arc::new(
            self.train
                .loader::<B>(micro(start.step)..micro(spans.steps), &device),
        );
        let valid = Arc::new(self.validation.loader::<B::InnerBackend>(&device));
        let optimizer = Shared::new(optimizer);
        let schedule = LearningRateSchedule {
            peak: experiment.lr.unwrap_or_default(),
            warmup: experiment.schedule.warmup.unwrap_or_default(),
            total: experiment.steps,
            decay: experiment.schedule.decay,
            minimum: experiment.schedule.minimum,
            next: start.step,
        };
        let outcome = Arc::new(Mutex::new(None));
        let on = device.clone();
        let strategy = ByUpdates {
            device,
            spans,
            start,
            optimizer: optimizer.clone(),
            journal: journal.clone(),
            saver: Box::new(ToFolder {
                session: self.clone(),
            }),
            say: match self.display {
                Display::Plain => |line| println!("{line}"),
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
        let result = training.launch(Learner::new(model, optimizer, schedule));
        // The terminal is the person's again once the renderer is gone.
        drop(result);
        let ended = outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Outcome::Failed(error)) = &ended {
            journal.event(0, &format!("{error:#}"));
        }
        journal
            .flush()
            .with_context(|| format!("cannot write {}", path.display()))?;
        ended.context("the training loop ended without saying how")
    }
}

impl Session {
    /// Model, optimizer and position of a new run, or of the checkpoint to go on from.
    fn start<B: AutodiffBackend>(
        &self,
        device: &B::Device,
    ) -> Result<(LlamaForCausalLm<B>, Optim<B>, Progress)> {
        let clip = self.experiment.clip;
        let optimizer: Optim<B> = ClipGradNorm::new(clip, self.method.optimizer());
        let Some((checkpoint, state)) = &self.resume else {
            let factors = self.experiment.method.factors();
            let seed = self.experiment.seed;
            let model = LlamaForCausalLm::new(&self.model, &self.method, factors, seed, device);
            return Ok((model, optimizer, Progress::default()));
        };
        let model = load_model::<B>(checkpoint, state, device)?;
        let path = checkpoint.join(OPTIMIZER);
        let tensors = checkpoint::read_tensors(&path)?;
        let names = parameter_names::<B, _>(&model);
        let record = checkpoint::join(tensors, state.optimizer.clone(), &names)
            .map_err(|reason| checkpoint::CheckpointError::Damaged { path, reason })?;
        let progress = Progress {
            step: state.step,
            skipped: state.skipped,
            best: state.best,
            evaluation: state.best,
            loss: None,
        };
        let optimizer =
            Optimizer::<LlamaForCausalLm<B>, B>::load_record(optimizer, (record, state.skipped));
        Ok((model, optimizer, progress))
    }
}

/// Saves checkpoints in the run directory.
struct ToFolder {
    session: Session,
}

impl<B: AutodiffBackend> Saver<B> for ToFolder {
    fn save(
        &self,
        model: &LlamaForCausalLm<B>,
        optimizer: &Optim<B>,
        progress: &Progress,
    ) -> Result<String> {
        let session = &self.session;
        let names = parameter_names::<B, _>(model);
        let (record, skipped) = Optimizer::<LlamaForCausalLm<B>, B>::to_record(optimizer);
        let (tensors, host) = checkpoint::split(record, &names);
        let state = State {
            format: 1,
            step: progress.step,
            tokens: progress.step * session.experiment.tokens_per_update(),
            skipped,
            model: session.model.clone(),
            method: session.method.clone(),
            factors: session.experiment.method.factors(),
            tokenizer_sha256: session.tokenizer.sha256(),
            best: progress.best,
            optimizer: host,
        };
        let weights = export::<B::InnerBackend, _>(&model.valid());
        let tokenizer = session.tokenizer.json();
        let path = checkpoint::write(&session.out, &state, &weights, &tensors, tokenizer)?;
        let best = progress.best.map(|best| best.step);
        checkpoint::prune(&session.out, session.experiment.keep, best)?;
        let shown = path.strip_prefix(&session.out).unwrap_or(&path);
        Ok(shown.display().to_string())
    }
}
