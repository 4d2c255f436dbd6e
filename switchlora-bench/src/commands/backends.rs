//! `switchlora-bench backends`: lists the backends and whether they work on this machine.

use anyhow::{Context, Result};
use clap::Args;
use switchlora_bench::backends::backends;
use switchlora_train::say::answer;

/// Arguments of `backends`.
#[derive(Args)]
pub struct Backends {
    /// Print one JSON object per line and backend.
    #[arg(long)]
    json: bool,
}

impl Backends {
    /// Prints one line per backend. Returns true: a backend that does not work is a valid result.
    ///
    /// # Errors
    ///
    /// A report cannot be serialized.
    pub fn run(self) -> Result<bool> {
        for report in backends() {
            if self.json {
                answer(serde_json::to_string(&report).context("writing the report")?)?;
                continue;
            }
            let works = report.reason.as_deref().unwrap_or("works");
            answer(format_args!("{:<8} {works}", report.backend.name()))?;
        }
        Ok(true)
    }
}
