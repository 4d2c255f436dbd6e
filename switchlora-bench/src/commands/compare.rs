//! `switchlora-bench compare`: compares methods by training them.

use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use switchlora_bench::compare::{Grid, compare};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::flags;
use switchlora_train::say::{answer, tell};

/// Arguments of `compare`.
#[derive(Args)]
pub struct Compare {
    /// Grid in TOML: an experiment, its variants, learning rates and seeds.
    #[arg(value_name = "GRID.toml", value_parser = flags::path())]
    grid: PathBuf,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Folder for results; trainings with a result there are not repeated.
    #[arg(long, default_value = "bench/compare", value_parser = flags::path())]
    out: PathBuf,
    /// Write the reports of what has been trained so far, and train nothing. Works beside a comparison that trains.
    #[arg(long)]
    report: bool,
}

impl Compare {
    /// Trains everything in the grid and prints the comparison. Returns true.
    ///
    /// # Errors
    ///
    /// The grid is wrong, a training fails, or the folder cannot be written.
    pub fn run(self) -> Result<bool> {
        let grid = Grid::from_file(&self.grid)?;
        let backend = self.backend.choose()?.backend;
        compare(&grid, backend, &self.out, !self.report, |line| tell(line))?;
        let out = self.out.display();
        answer(std::fs::read_to_string(self.out.join("compare.md"))?)?;
        tell(format_args!(
            "compare.json, trainings.csv, compare.md, compare.html and the charts are in {out}"
        ));
        Ok(true)
    }
}
