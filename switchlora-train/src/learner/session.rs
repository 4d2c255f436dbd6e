//! Puts a run together (training, data, learner, renderer) and starts it.

use super::dashboard::{self, Dashboard, Position, dashboard_is_shown};
use super::journal::{Journal, evaluations};
use super::log::{LOG, log_to};
use super::metrics::ReportMetric;
use super::no_logger::NoMetricLogger;
use super::plain::PlainRenderer;
use super::progress::{Outcome, Progress};
use super::run::Plan;
use super::strategy::ByUpdates;
use crate::backend::{BackendKind, Job};
use crate::checkpoint::{self, Checkpoint};
use crate::data::DataFault;
use crate::processes::{Processes, first};
use crate::quietly::panic_message;
use crate::say::say;
use crate::training::{Setup, Text, Training};
use anyhow::{Context, Result, anyhow};
use burn::tensor::backend::AutodiffBackend;
use burn::train::metric::{CpuMemory, CpuUse, CudaMetric};
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How a run shows its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// burn-train's terminal dashboard.
    Dashboard,
    /// Plain lines.
    Plain,
}

impl Display {
    /// The display of a run: the dashboard, unless it is not wanted (`plain`) or standard output cannot show it.
    pub fn of_output(plain: bool) -> Self {
        match !plain && dashboard::is_possible() {
            true => Self::Dashboard,
            false => Self::Plain,
        }
    }
}

/// A run that is ready to start.
#[derive(Clone)]
pub struct Session {
    /// Experiment, model, method and tokenizer.
    pub setup: Arc<Setup>,
    /// The batches.
    pub text: Text,
    /// The backend it runs on; never `auto`.
    pub backend: BackendKind,
    /// The number of the device.
    pub device: usize,
    /// The processes that train together. The first one shows the progress and writes all files.
    pub processes: Arc<dyn Processes>,
    /// The run directory, which exists.
    pub out: PathBuf,
    /// The checkpoint to go on from.
    pub from: Option<Checkpoint>,
    /// How it shows its progress.
    pub display: Display,
    /// Stops the run.
    pub interrupter: Interrupter,
}

impl Job for Session {
    /// How it ended.
    type Output = Result<Outcome>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<Outcome> {
        let (setup, processes) = (&self.setup, &self.processes);
        let (rank, size) = (processes.rank(), processes.size());
        let writes = rank == 0;
        let alike = self.from.as_ref().is_some_and(|from| {
            from.state.experiment.eval_sequences == setup.experiment.eval_sequences
        });
        let (training, mut start) = match &self.from {
            None => (Training::new(setup, &device)?, Progress::default()),
            Some(from) => (
                Training::restore(setup, from, &**processes, &device)?,
                Progress::of(&from.state, &self.out, alike),
            ),
        };
        let (dtype, moments) = (setup.experiment.reduce, setup.experiment.moments);
        let training = training.among(processes.clone(), dtype, moments);
        training.begins_alike()?;
        let path = self.out.join("metrics.jsonl");
        let unwritten = || format!("cannot write {}", path.display());
        let journal = match writes {
            true => Journal::open(&path, start.step).with_context(unwritten)?,
            false => Journal::elsewhere(),
        };
        if start.step > 0 {
            // The state was saved before its evaluation.
            let done = evaluations(&path).pop();
            let done = done.filter(|done| done.step == start.step);
            start.evaluation = done.or(start.evaluation);
            // Only the first process has the journal for certain, and all count from the same evaluation.
            let found = first(&**processes, || {
                Ok(done.filter(|done| alike && done.loss.is_finite()))
            })?;
            found.into_iter().for_each(|found| start.found(found));
            journal.event(start.step, "resumed");
        }
        let start_step = start.step;
        let batches = setup.experiment.accumulation;
        let own = |step: u64| step * (batches / size) as u64;
        let data = DataFault::default();
        let range = own(start.step)..own(setup.experiment.steps);
        let train = self.text.train.clone().for_rank(rank, size, batches);
        let train = train.loader::<B>(range, &device);
        let valid = &self.text.validation;
        let valid = valid.loader_for_rank::<B::InnerBackend>(rank, size, &device);
        let metrics = SupervisedTraining::new(
            &self.out,
            Arc::new(train.reporting_to(&data)),
            Arc::new(valid.reporting_to(&data)),
        );
        // Both are dropped before the first update.
        let (model, optimizer) = (training.model().clone(), training.optimizer().clone());
        let learner = Learner::new(model, optimizer, 0.0);
        let outcome = Arc::new(Mutex::new(None));
        let strategy = ByUpdates {
            plan: Plan {
                setup: setup.clone(),
                data_sha256: self.text.sha256.clone(),
                start,
                data,
                out: self.out.clone(),
                journal: journal.clone(),
                writes,
                say: |line| {
                    if !dashboard_is_shown() {
                        say(line);
                    }
                },
            },
            training: Mutex::new(Some(training)),
            outcome: outcome.clone(),
        };
        let log = self.out.join(LOG);
        if writes {
            log_to(&log);
        }
        let supervised = metrics
            .num_epochs(1)
            .with_application_logger(None)
            .with_interrupter(self.interrupter.clone())
            .with_metric_logger(NoMetricLogger)
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
        let of_tokens = setup.model.classifier.is_none();
        let supervised = ReportMetric::of_updates(of_tokens)
            .into_iter()
            .fold(supervised, SupervisedTraining::metric_train_numeric);
        let supervised = ReportMetric::of_evaluation(of_tokens)
            .into_iter()
            .fold(supervised, SupervisedTraining::metric_valid_numeric);
        let experiment = &setup.experiment;
        let position = Position {
            from: start_step as usize,
            stretch: match experiment.eval_every {
                0 => experiment.steps as usize,
                every => every as usize,
            },
        };
        let supervised = match self.display {
            Display::Plain => supervised.renderer(PlainRenderer::default()),
            Display::Dashboard => supervised
                .metric_train_numeric(CpuUse::new())
                .metric_train_numeric(CpuMemory::new())
                .renderer(Dashboard::open(&self.interrupter, position, &log)),
        };
        let supervised = match self.backend {
            BackendKind::Cuda => supervised.metric_train(CudaMetric::new()),
            _ => supervised,
        };
        let launched = panic::catch_unwind(AssertUnwindSafe(|| supervised.launch(learner)));
        // Dropping the renderer gives the terminal back.
        let launched = launched.map(drop);
        let ended = outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let (Err(reason), None) = (launched, &ended) {
            let (reason, again) = (panic_message(&*reason), setup.again(&self.out));
            let saved = checkpoint::list(&self.out)
                .ok()
                .and_then(|mut all| all.pop());
            return Err(match saved {
                Some((step, _)) => anyhow!(
                    "the training broke off ({reason}); the last checkpoint is of update {step}: go on with {again}"
                ),
                None => anyhow!("the training broke off ({reason}); there is no checkpoint"),
            });
        }
        if let Some(Outcome::Failed(error, progress)) = &ended {
            journal.event(progress.step, &format!("{error:#}"));
        }
        let written = journal.flush();
        // The error that ended the run matters more than one of the journal.
        if !matches!(ended, Some(Outcome::Failed(..))) {
            written.with_context(unwritten)?;
        }
        ended.context("the training loop ended without saying how")
    }
}
