//! `switchlora-bench backends`.

use anyhow::{Context, Result};
use clap::Args;
use switchlora_bench::backends::backends;

/// Arguments of `backends`.
#[derive(Args)]
pub struct Backends {
    /// One JSON object a line for each backend.
    #[arg(long)]
    json: bool,
}

impl Backends {
    /// Always as it should be: a backend that does not work is an answer.
    pub fn run(self) -> Result<bool> {
        for report in backends() {
            if self.json {
                println!(
                    "{}",
                    serde_json::to_string(&report).context("writing the report")?
                );
                continue;
            }
            let answer = report.reason.as_deref().unwrap_or("works");
            println!("{:<8} {answer}", report.backend.name());
        }
        Ok(true)
    }
}
