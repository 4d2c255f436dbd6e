//! `switchlora-bench parity`: replays runs of the authors' program.

use anyhow::{Context, Result, ensure};
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;
use switchlora_bench::parity::{Golden, GoldenRun, Replay};
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::experiment::flags;
use switchlora_train::say::{answer, tell};

/// Arguments of `parity`.
#[derive(Args)]
pub struct Parity {
    /// Folder with config.json, tokens.safetensors, and the log, start and states of each run.
    #[arg(long, value_name = "DIR", value_parser = flags::path())]
    golden: PathBuf,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Runs to replay, separated by commas [default: the authors' runs in the folder].
    #[arg(long, value_delimiter = ',', value_name = "RUN")]
    runs: Vec<String>,
    /// Replay with a plain model, whose optimizer holds the factors.
    #[arg(long)]
    plain: bool,
}

impl Parity {
    /// Replays the runs. Returns whether every run is within its tolerances.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, or the backend fails.
    pub fn run(self) -> Result<bool> {
        let golden = Golden::open(&self.golden)?;
        let runs = match self.runs.is_empty() {
            true => golden.runs()?,
            false => self.runs,
        };
        let runs: Vec<_> = runs
            .iter()
            .map(|run| golden.run(run))
            .collect::<Result<_, _>>()?;
        let with_own = |run: GoldenRun| {
            let own = run.with_own_projections();
            std::iter::once(run).chain(own)
        };
        let runs: Vec<GoldenRun> = runs.into_iter().flat_map(with_own).collect();
        let runs: Vec<GoldenRun> = match self.plain {
            true => runs
                .iter()
                .filter_map(GoldenRun::on_plain_weights)
                .collect(),
            false => runs,
        };
        ensure!(
            !runs.is_empty(),
            "--plain replays runs with factors or projections, and none of --runs has any"
        );
        let chosen = self.backend.choose()?;
        let backend = chosen.backend;
        let talk = std::io::stderr().is_terminal();
        let mut pass = true;
        for run in runs {
            if talk {
                let (name, updates) = (run.title(), run.updates);
                tell(format_args!(
                    "{name}: {updates} updates on {backend} ({})",
                    chosen.reason
                ));
            }
            let report = run_on(backend, 0, Replay::new(&golden, &run, backend.name()))??;
            let line = serde_json::to_string(&report).context("writing the report")?;
            answer(line)?;
            if let Some(deviation) = &report.deviation {
                tell(format_args!(
                    "{} on {backend} is off: {deviation}",
                    run.title()
                ));
            }
            pass &= report.pass;
        }
        Ok(pass)
    }
}
