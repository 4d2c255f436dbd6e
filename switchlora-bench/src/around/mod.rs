//! What a switch costs: the losses of the updates around it, with the switch and without it.
//!
//! A training without switches stops at several updates. From each it goes on twice, with the same weights, the same
//! state of the optimizer and the same batches: once as it was, and once with a single switch in the first update. The
//! difference of the two losses, update by update, is what the switch did. Each variant of a grid makes that switch in
//! its own way.

mod report;

pub use report::{csv, table};

use crate::cells::{is_embedded, read_text};
use crate::compare::{Grid, Variant};
use anyhow::{Context, Result, bail};
use burn::data::dataloader::DataLoader;
use burn::optim::Optimizer;
use burn::tensor::backend::AutodiffBackend;
use std::ops::Range;
use std::path::PathBuf;
use switchlora_core::{MethodConfig, SwitchSchedule};
use switchlora_train::backend::{BackendKind, Job};
use switchlora_train::experiment::LearningRateSchedule;
use switchlora_train::model::LlamaForCausalLm;
use switchlora_train::training::{Optim, Setup, Text, Training, scalar};

/// Updates between two switches of a vector if every update switched as much as the one that does: each side of a layer
/// exchanges a tenth of its vectors.
const INTERVAL: f64 = 10.0;

/// When and for how long to look.
#[derive(Clone, Debug)]
pub struct Window {
    /// Updates after which the training branches.
    pub at: Vec<u64>,
    /// Updates of a branch.
    pub updates: u64,
}

/// The differences that one variant's switches made.
#[derive(Clone, Debug)]
pub struct Around {
    /// The variant.
    pub variant: String,
    /// One for each place of each training.
    pub branches: Vec<Branch>,
}

/// The differences that one switch made.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Seed of the training.
    pub seed: u64,
    /// Updates before the switch.
    pub at: u64,
    /// Vectors that it exchanged. Their expected number is seldom whole, and then a random number decides.
    pub vectors: usize,
    /// Loss with the switch minus loss without it, in nats a token, for each update. The first is 0, since the loss of an
    /// update is computed before it.
    pub differences: Vec<f64>,
}

impl Around {
    /// Mean number of vectors that a switch exchanged.
    fn vectors(&self) -> f64 {
        let all: usize = self.branches.iter().map(|branch| branch.vectors).sum();
        all as f64 / self.branches.len() as f64
    }

    /// Mean and standard error, over the branches, of the mean difference in these columns. One branch has no error.
    pub fn mean(&self, columns: Range<usize>) -> (f64, Option<f64>) {
        let width = columns.len() as f64;
        let branches = self.branches.iter();
        let means =
            branches.map(|branch| branch.differences[columns.clone()].iter().sum::<f64>() / width);
        let means: Vec<f64> = means.collect();
        let count = means.len() as f64;
        let mean = means.iter().sum::<f64>() / count;
        let squares: f64 = means.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (count * (count - 1.0))).sqrt();
        (mean, (means.len() > 1).then_some(error))
    }
}

/// The measurement for all variants of a grid and one seed.
pub struct AroundJob {
    base: Setup,
    variants: Vec<(String, MethodConfig)>,
    window: Window,
    text: Text,
}

impl AroundJob {
    /// Opens the variants of a grid, which must be SwitchLoRA on one model. `embedded` makes the packed tokens of the
    /// embedded text, if the variants train on it.
    ///
    /// # Errors
    ///
    /// A variant is another method or another training, a branch would begin or end outside the training, the machine's
    /// memory cannot hold it, or the text cannot be read.
    pub fn new(
        grid: &Grid,
        backend: BackendKind,
        window: Window,
        seed: u64,
        embedded: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<Self> {
        let setup = |variant: &Variant| -> Result<Setup> {
            let name = || format!("variant `{}`", variant.name);
            let trial = grid.trial(variant, backend, None, seed, None)?;
            let setup = Setup::new(trial, None).with_context(name)?;
            setup.check_memory(backend, 1).with_context(name)?;
            Ok(setup)
        };
        let mut base = setup(&grid.variants[0])?;
        let mut variants = Vec::new();
        for variant in &grid.variants {
            let mut other = setup(variant)?;
            let method = other.method.clone();
            other.experiment.switch = base.experiment.switch.clone();
            if !method.method.switches() || other.experiment != base.experiment {
                bail!(
                    "variant `{}`: only the keys of [switch] may differ, and the method is switchlora",
                    variant.name
                );
            }
            variants.push((variant.name.clone(), method));
        }
        let steps = base.experiment.steps;
        if let Some(at) = window
            .at
            .iter()
            .find(|at| at.saturating_add(window.updates) > steps)
        {
            let updates = window.updates;
            bail!("{updates} updates after update {at} are not in a training of {steps}");
        }
        let full_rank = base.experiment.full_rank_updates();
        if let Some(at) = window.at.iter().find(|at| **at <= full_rank) {
            bail!(
                "nothing switches after update {at}: the first {full_rank} are in full rank (warm_start)"
            );
        }
        let embedded = match is_embedded(&base)? {
            true => embedded()?,
            false => PathBuf::new(),
        };
        let text = read_text(&mut base, embedded)?;
        Ok(Self {
            base,
            variants,
            window,
            text,
        })
    }

    /// The losses of a branch that begins at `training` with one update of `first` and goes on with `then`, and the
    /// vectors that it exchanges.
    fn branch<B: AutodiffBackend>(
        &self,
        training: &Training<B>,
        [first, then]: [&MethodConfig; 2],
        device: &B::Device,
    ) -> Result<(Vec<f64>, usize)> {
        let from = training.step();
        let schedule = LearningRateSchedule::of(&self.base.experiment);
        let mut branch = Training::from_parts(
            training.model().clone(),
            self.exchanged(training.optimizer(), first),
            move |update| schedule.rate(from + update),
            self.base.experiment.accumulation,
        );
        let (mut losses, mut switches) = (Vec::new(), 0);
        let batches = from..from + self.window.updates;
        let loader = self
            .text
            .train
            .loader::<B>(self.micro_batches(batches), device);
        let mut batches = loader.iter();
        for update in 0..self.window.updates {
            if update == 1 {
                let next = self.exchanged(branch.optimizer(), then);
                *branch.optimizer_mut() = next;
            }
            let done = branch.update(&mut batches, &mut ())?;
            losses.push(scalar(done.loss));
            switches += done.switches;
        }
        Ok((losses, switches))
    }

    /// The micro-batches of updates.
    fn micro_batches(&self, updates: Range<u64>) -> Range<u64> {
        let each = self.base.experiment.accumulation as u64;
        updates.start * each..updates.end * each
    }

    /// An optimizer of another configuration with the same state.
    fn exchanged<B: AutodiffBackend>(&self, old: &Optim<B>, config: &MethodConfig) -> Optim<B> {
        let record = Optimizer::<LlamaForCausalLm<B>, B>::to_record(old);
        let new = self.base.experiment.optimizer(config);
        Optimizer::<LlamaForCausalLm<B>, B>::load_record(new, record)
    }
}

fn with_schedule(method: &MethodConfig, schedule: SwitchSchedule) -> MethodConfig {
    let mut method = method.clone();
    method.layers.schedule = schedule;
    method
}

/// The same method with a frequency that is nothing: its candidates and its states stay, and nothing is exchanged.
fn resting(method: &MethodConfig) -> MethodConfig {
    with_schedule(method, SwitchSchedule::decaying(INTERVAL, 1e-9, 1))
}

impl Job for AroundJob {
    type Output = Result<Vec<Around>>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<Vec<Around>> {
        let mut setup = self.base.clone();
        setup.method = resting(&setup.method);
        let mut training = Training::<B>::new(&setup, &device)?;
        let all = self.micro_batches(0..setup.experiment.steps);
        let loader = self.text.train.loader::<B>(all, &device);
        let mut batches = loader.iter();
        let empty = |(variant, _): &(String, MethodConfig)| Around {
            variant: variant.clone(),
            branches: Vec::new(),
        };
        let mut found: Vec<Around> = self.variants.iter().map(empty).collect();
        let mut at = self.window.at.clone();
        at.sort_unstable();
        // The same branch twice is not two measurements.
        at.dedup();
        for at in at {
            while training.step() < at {
                training.update(&mut batches, &mut ())?;
            }
            let rests = resting(&self.base.method);
            let (without, _) = self.branch(&training, [&rests, &rests], &device)?;
            for ((_, method), found) in self.variants.iter().zip(&mut found) {
                let switching = with_schedule(method, SwitchSchedule::fixed(INTERVAL));
                let methods = [&switching, &resting(method)];
                let (with, vectors) = self.branch(&training, methods, &device)?;
                let pairs = with.iter().zip(&without);
                found.branches.push(Branch {
                    seed: setup.experiment.seed,
                    at,
                    vectors,
                    differences: pairs.map(|(with, without)| with - without).collect(),
                });
            }
        }
        Ok(found)
    }
}
