//! `switchlora-bench around`: what a switch costs, by the losses around it.

use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::PathBuf;
use switchlora_bench::around::{Around as Found, AroundJob, Window, csv, table};
use switchlora_bench::compare::Grid;
use switchlora_bench::embedded_tokens;
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::durable;
use switchlora_train::experiment::flags;
use switchlora_train::run_directory::RunDirectory;
use switchlora_train::say::{answer, tell};

/// Arguments of `around`.
#[derive(Args)]
pub struct Around {
    /// Grid in TOML, as for `compare`: each variant makes the switch in its own way, by its [switch] keys.
    #[arg(value_name = "GRID.toml", value_parser = flags::path())]
    grid: PathBuf,
    /// Updates after which the training goes on with and without a switch.
    #[arg(long, num_args = 1.., default_values_t = [200, 300, 400, 500, 600, 700, 800])]
    at: Vec<u64>,
    /// Updates to follow.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u64).range(2..))]
    updates: u64,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Folder for around.csv. One that is there is not overwritten.
    #[arg(long, default_value = "bench/around", value_parser = flags::path())]
    out: PathBuf,
}

impl Around {
    /// Trains with each seed of the grid and prints the mean differences. Returns true.
    ///
    /// # Errors
    ///
    /// The grid is wrong, a training fails, or the folder cannot be written.
    pub fn run(self) -> Result<bool> {
        let grid = Grid::from_file(&self.grid)?;
        let backend = self.backend.choose()?.backend;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make {}", self.out.display()))?;
        let _alone = RunDirectory::open(&self.out)?;
        let path = self.out.join("around.csv");
        if path.exists() {
            bail!(
                "{} is there: give another folder with --out, or delete it",
                path.display()
            );
        }
        let mut all: Vec<Found> = Vec::new();
        for &seed in &grid.seeds {
            let window = Window {
                at: self.at.clone(),
                updates: self.updates,
            };
            let embedded = || embedded_tokens(&self.out, &|line: &str| tell(line));
            let job = AroundJob::new(&grid, backend, window, seed, embedded)?;
            tell(format_args!("seed {seed}"));
            for found in run_on(backend, 0, job)?? {
                match all.iter_mut().find(|one| one.variant == found.variant) {
                    Some(one) => one.branches.extend(found.branches),
                    None => all.push(found),
                }
            }
            // After each seed: the next one may fail.
            durable::write(&path, &csv(&all)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        answer(table(&all, self.updates as usize))?;
        tell(format_args!("every difference is in {}", path.display()));
        Ok(true)
    }
}
