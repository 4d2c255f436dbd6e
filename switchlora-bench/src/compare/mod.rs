//! Compares methods fairly: the same tokens in the same order, each method at its own best learning rate, several
//! seeds.
//!
//! First, every variant is trained at every learning rate with a sweep seed whose results are not reported; the
//! learning rate with the lowest validation loss wins. Then every variant is trained at its learning rate with each
//! seed. A training runs in its own process and leaves one file in `trials/`, named by a hash of everything that
//! decides its outcome. So an interrupted comparison resumes after its last training, and a changed grid runs only the
//! trainings that changed.

mod grid;
mod report;
mod summary;

pub use grid::{Grid, GridError, Variant};
pub use summary::{Comparison, Run, Summary};

use crate::cells::{Cell, Found, TrialResult};
use crate::suites::{Progress, machine, measured, text};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use switchlora_train::backend::BackendKind;
use switchlora_train::durable;
use switchlora_train::experiment::Experiment;
use switchlora_train::hexadecimal;

/// Increased when a training of the same experiment would have another outcome, or the files have another format.
const FORMAT: u32 = 1;

/// Runs the trainings that have no result yet, and writes the reports after every training. Passes `say` a line per
/// training.
///
/// # Errors
///
/// The folder cannot be written, or a training fails.
pub fn compare(
    grid: &Grid,
    backend: BackendKind,
    out: &Path,
    say: impl Fn(&str),
) -> Result<Comparison> {
    let trials = out.join("trials");
    fs::create_dir_all(&trials).with_context(|| format!("cannot make {}", trials.display()))?;
    let swept = |variant: &Variant| match grid.rates(variant) {
        [_] => 0,
        rates => rates.len(),
    };
    let sweep: usize = grid.variants.iter().map(swept).sum();
    let total = sweep + grid.variants.len() * grid.seeds.len();
    let mut runner = Runner {
        tokens: text(out, &say)?,
        trials,
        progress: Progress::new(total),
        say: &say,
    };
    let mut comparison = Comparison {
        program: format!("switchlora-bench {}", env!("CARGO_PKG_VERSION")),
        machine: machine::this(),
        backend: backend.name().to_owned(),
        ..Comparison::default()
    };
    let mut best = Vec::new();
    for variant in &grid.variants {
        let rates = grid.rates(variant);
        let mut chosen = (f64::INFINITY, rates[0]);
        for &rate in rates.iter().filter(|_| rates.len() > 1) {
            let steps = grid.sweep_steps;
            let trial = grid.trial(variant, backend, rate, grid.sweep_seed, steps)?;
            let run = runner.run(&variant.name, trial)?;
            if run.loss < chosen.0 {
                chosen = (run.loss, rate);
            }
            comparison.sweep.push(run);
        }
        best.push(chosen.1);
    }
    // Seed by seed, so that the results are a fair comparison even after an interruption.
    for &seed in &grid.seeds {
        for (variant, &rate) in grid.variants.iter().zip(&best) {
            let trial = grid.trial(variant, backend, rate, seed, None)?;
            comparison.runs.push(runner.run(&variant.name, trial)?);
            comparison.summarize(grid);
            report::write(out, &comparison)?;
        }
    }
    Ok(comparison)
}

/// Runs trainings, or reads their results.
struct Runner<'a, S> {
    tokens: PathBuf,
    trials: PathBuf,
    progress: Progress,
    say: &'a S,
}

impl<S: Fn(&str)> Runner<'_, S> {
    fn run(&mut self, variant: &str, experiment: Experiment) -> Result<Run> {
        let name = trial_name(&experiment)?;
        let kept = self.trials.join(format!("{name}.json"));
        let rate = experiment.lr.unwrap_or_default();
        let what = format!("{variant}, lr {rate:e}, seed {}", experiment.seed);
        let tokens = match experiment.data.is_empty() {
            true => vec![self.tokens.clone()],
            false => experiment.data.clone(),
        };
        let cell = Cell::Trial {
            experiment: experiment.clone(),
            tokens,
        };
        let found = measured(&kept, &cell, &mut self.progress).with_context(|| what.clone())?;
        let Found::Trial(trial) = found else {
            bail!("{} is not a training of a comparison", kept.display());
        };
        let TrialResult { ref curve, .. } = trial;
        let seconds = curve.seconds.last().copied().unwrap_or_default();
        let run = Run::of(variant, experiment, trial)?;
        let line = format!("{what}: perplexity {:.2}, {seconds:.0} s", run.loss.exp());
        (self.say)(&self.progress.ended(&line));
        Ok(run)
    }
}

/// File name of a training: method, seed, and a hash of everything that decides its outcome.
fn trial_name(experiment: &Experiment) -> Result<String> {
    let key = serde_json::to_vec(&(FORMAT, experiment))?;
    let hash = hexadecimal(&Sha256::digest(key)[..8]);
    let (method, seed) = (experiment.method.name(), experiment.seed);
    Ok(format!("{method}-seed{seed}-{hash}"))
}

/// Writes a file of the comparison atomically.
fn write_file(out: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = out.join(name);
    durable::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
