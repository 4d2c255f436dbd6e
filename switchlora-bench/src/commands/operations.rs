//! `switchlora-bench operations`: compares every operation of our own with f64.

use anyhow::{Context, Result};
use clap::Args;
use switchlora_bench::operations::Operations as Job;
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::say::{answer, tell};

/// Arguments of `operations`.
#[derive(Args)]
pub struct Operations {
    /// Backend to run on; its default device.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Cases of each operation, of random sizes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Seed of the sizes and numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object per line and case instead of a table.
    #[arg(long)]
    json: bool,
}

impl Operations {
    /// Computes and prints. Returns whether every case passes.
    ///
    /// # Errors
    ///
    /// The backend does not work here.
    pub fn run(self) -> Result<bool> {
        let backend = self.backend.choose()?.backend;
        let (mut cases, mut wrong) = (0, 0);
        let mut printed = Ok(());
        let each = |row: switchlora_bench::operations::OperationRow| {
            cases += 1;
            wrong += usize::from(!row.passes);
            let line = match self.json {
                true => serde_json::to_string(&row).context("writing the report"),
                false => {
                    let number = |error: Option<f64>| match error {
                        Some(error) => format!("{error:.1e}"),
                        None => "-".to_owned(),
                    };
                    let verdict = if row.passes { "PASS" } else { "FAIL" };
                    let (ours, composed) = (number(row.ours), number(row.composed));
                    let (precision, case) = (row.precision, &row.case);
                    Ok(format!(
                        "{verdict}  {precision:<4}  ours {ours:<8}  composed {composed:<8}  {case}"
                    ))
                }
            };
            // Every case counts, also when nobody reads.
            let result = line.and_then(|line| Ok(answer(line)?));
            if printed.is_ok() {
                printed = result;
            }
        };
        let (rounds, seed) = (self.rounds.into(), self.seed);
        run_on(backend, 0, Job { rounds, seed, each })?;
        printed?;
        tell(format_args!("{backend}: {cases} cases, {wrong} wrong"));
        Ok(wrong == 0)
    }
}
