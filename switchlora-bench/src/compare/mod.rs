//! Compares methods fairly: the same tokens in the same order, each method at its own best learning rate, several
//! seeds.
//!
//! First, every variant is trained at every learning rate with a sweep seed whose results are not reported; the
//! learning rate with the lowest validation loss wins. Then every variant is trained at its learning rate with each
//! seed. A training runs in its own process and leaves one file in `trials/`, named by a hash of its experiment. So an
//! interrupted comparison resumes after its last training, and a changed grid runs only the trainings that changed.
//!
//! The hash has the paths of the model and of the text, and the content of the tokenizer and of the checkpoint that a
//! warm start begins from. After changing the text in place, compare into another folder.

mod grid;
mod report;
mod runner;
mod summary;

pub use grid::{Grid, GridError, Variant};
pub use summary::{Comparison, Run, Summary};

use crate::suites::{Progress, machine, text};
use anyhow::{Context, Result};
use runner::{Opened, Runner};
use std::fs;
use std::path::Path;
use switchlora_train::backend::BackendKind;
use switchlora_train::run_directory::RunDirectory;

/// Runs the trainings that have no result yet, and writes the reports after every training. Passes `say` a line per
/// training.
///
/// # Errors
///
/// The tokenizer, model or warm start of a variant cannot be used, another process uses the folder, it cannot be
/// written, or a training fails.
pub fn compare(
    grid: &Grid,
    backend: BackendKind,
    out: &Path,
    say: impl Fn(&str),
) -> Result<Comparison> {
    let opened = grid.variants.iter();
    let opened = opened.map(|variant| Opened::new(grid, variant, backend));
    let opened: Vec<_> = opened.collect::<Result<_>>()?;
    let trials = out.join("trials");
    fs::create_dir_all(&trials).with_context(|| format!("cannot make {}", trials.display()))?;
    let _alone = RunDirectory::open(out)?;
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
    for (variant, opened) in grid.variants.iter().zip(&opened) {
        let rates = grid.rates(variant);
        let mut chosen = (f64::INFINITY, rates[0]);
        for &rate in rates.iter().filter(|_| rates.len() > 1) {
            let steps = grid.sweep_steps;
            let trial = grid.trial(variant, backend, rate, grid.sweep_seed, steps)?;
            let run = runner.run(&variant.name, opened, trial)?;
            if run.loss < chosen.0 {
                chosen = (run.loss, rate);
            }
            comparison.sweep.push(run);
        }
        best.push(chosen.1);
    }
    // Seed by seed, so that the results are a fair comparison even after an interruption.
    for &seed in &grid.seeds {
        for ((variant, opened), &rate) in grid.variants.iter().zip(&opened).zip(&best) {
            let trial = grid.trial(variant, backend, rate, seed, None)?;
            let run = runner.run(&variant.name, opened, trial)?;
            comparison.runs.push(run);
            comparison.summarize(grid);
            report::write(out, &comparison)?;
        }
    }
    Ok(comparison)
}
