//! Compares methods fairly: the same tokens in the same order, each method at its own best learning rates, several
//! seeds.
//!
//! First, the learning rates of every variant are searched, with a seed whose results are not reported and the same
//! number of trainings for each; those with the lowest validation loss win. Then every variant is trained at its
//! learning rates with each seed. A training runs in its own process and leaves one file in `trials/`, named by a hash
//! of its experiment. So an interrupted comparison resumes after its last training, and a changed grid runs only the
//! trainings that changed.
//!
//! The hash also has the contents of the files that the experiment names: text, held-out text, tokenizer, model, and the
//! checkpoint that a warm start begins from.

mod contents;
mod grid;
mod lengths;
mod report;
mod runner;
mod search;
mod summary;
mod tokens;
mod trainings;

pub use grid::{Grid, GridError, Variant};
pub use lengths::lengths;
pub use search::Rates;
pub use summary::{Comparison, Run, Summary};

use crate::suites::{Progress, machine, text};
use anyhow::{Context, Result, bail};
use contents::Contents;
use runner::{Opened, Runner};
use search::Search;
use std::fs;
use std::path::{Path, PathBuf};
use switchlora_train::backend::BackendKind;
use switchlora_train::run_directory::RunDirectory;

/// Runs the trainings that have no result yet, and writes the reports after every training. Passes `say` a line per
/// training. If not `trains`, it writes the reports of what has been trained so far.
///
/// # Errors
///
/// The tokenizer, model or warm start of a variant cannot be used, the machine's memory cannot hold a training, another
/// process uses the folder, it cannot be written, or a training fails. If not `trains`: the folder has trainings, but none
/// of this grid, or a damaged result.
pub fn compare(
    grid: &Grid,
    backend: BackendKind,
    out: &Path,
    trains: bool,
    say: impl Fn(&str),
) -> Result<Comparison> {
    let mut contents = Contents::default();
    let opened = grid.variants.iter();
    let opened = opened.map(|variant| Opened::new(grid, variant, backend, trains, &mut contents));
    let opened: Vec<_> = opened.collect::<Result<_>>()?;
    let trials = out.join("trials");
    if !trains && !trials.is_dir() {
        bail!("no trainings in {}: check --out", out.display());
    }
    fs::create_dir_all(&trials).with_context(|| format!("cannot make {}", trials.display()))?;
    // A report may be made beside the trainings.
    let _alone = trains.then(|| RunDirectory::open(out)).transpose()?;
    let of_variant = grid.trainings + grid.seeds.len();
    let mut runner = Runner {
        tokens: match trains && opened.iter().any(|variant| variant.embedded) {
            true => text(out, &say)?,
            false => PathBuf::new(),
        },
        trials,
        trains,
        progress: Progress::new(grid.variants.len() * of_variant),
        files: &contents,
        say: &say,
    };
    let mut comparison = Comparison {
        program: format!("switchlora-bench {}", env!("CARGO_PKG_VERSION")),
        machine: machine::this(),
        backend: backend.name().to_owned(),
        ..Comparison::default()
    };
    let mut searches = Vec::new();
    for (variant, opened) in grid.variants.iter().zip(&opened) {
        let mut search = Search::new(grid.start(variant)?, variant.one_rate);
        for _ in 0..grid.trainings {
            let Some(rates) = search.next() else { break };
            let (seed, steps) = (grid.sweep_seed, grid.sweep_steps);
            let trial = grid.trial(variant, backend, Some(rates), seed, steps)?;
            let Some(run) = runner.run(&variant.name, opened, trial)? else {
                break;
            };
            search.tried(run.loss);
            comparison.sweep.push(run);
        }
        searches.push(search);
    }
    // Seed by seed, so that the results are a fair comparison even after an interruption.
    for &seed in &grid.seeds {
        for ((variant, opened), search) in grid.variants.iter().zip(&opened).zip(&searches) {
            let trial = grid.trial(variant, backend, Some(search.best()), seed, None)?;
            if let Some(run) = runner.run(&variant.name, opened, trial)? {
                comparison.runs.push(run);
                comparison.summarize(grid, &searches);
                if trains {
                    report::write(out, &comparison)?;
                }
            }
        }
    }
    if !trains {
        let found = comparison.runs.len() + comparison.sweep.len();
        if found == 0 && has_results(&runner.trials)? {
            bail!(
                "no training in {} is of this grid on {}: check the grid and --backend",
                out.display(),
                backend.name()
            );
        }
        report::write(out, &comparison)?;
    }
    Ok(comparison)
}

/// Whether a folder has the result of any training.
fn has_results(trials: &Path) -> Result<bool> {
    let name = || trials.display().to_string();
    for entry in fs::read_dir(trials).with_context(name)? {
        let path = entry.with_context(name)?.path();
        if path.extension().is_some_and(|kind| kind == "json") {
            return Ok(true);
        }
    }
    Ok(false)
}
