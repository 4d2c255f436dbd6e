//! `switchlora-bench step`.

use anyhow::{Context, Result};
use clap::Args;
use std::io::{IsTerminal, Write};
use switchlora_bench::step::{StepBench, StepJob, Table};
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::experiment::{Method, Precision};
use switchlora_train::model::LlamaConfig;

/// Arguments of `step`.
#[derive(Args)]
pub struct Step {
    /// A preset or a Hugging Face config.json.
    #[arg(long, default_value = "tiny", value_name = "PRESET|FILE")]
    model: String,
    /// Rank of the factors [default: a quarter of the model's width].
    #[arg(long)]
    rank: Option<usize>,
    /// Sequences in a batch.
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// Tokens in a sequence.
    #[arg(long, default_value_t = 128)]
    sequence_length: usize,
    /// Methods to time, separated by commas.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "full,lora,switchlora"
    )]
    methods: Vec<Method>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// What products are computed in.
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// What frozen weights rest in.
    #[arg(long, value_enum, default_value_t)]
    frozen: Precision,
    /// Updates to time, after a warm-up.
    #[arg(long, default_value_t = 20)]
    updates: usize,
    /// Names the random weights and tokens.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// One JSON object a line for each method, instead of a table.
    #[arg(long)]
    json: bool,
}

impl Step {
    /// Always as it should be, if it can be measured at all.
    pub fn run(self) -> Result<bool> {
        let config = LlamaConfig::resolve(&self.model)?;
        let bench = StepBench {
            rank: self.rank.unwrap_or((config.hidden_size / 4).max(1)),
            model: self.model,
            config,
            precision: self.precision,
            frozen: self.frozen,
            batch_size: self.batch_size,
            sequence_length: self.sequence_length,
            methods: self.methods,
            updates: self.updates,
            seed: self.seed,
        };
        let backend = self.backend.choose()?.backend;
        backend.check_device(0, &[self.precision, self.frozen])?;
        let talk = std::io::stderr().is_terminal();
        let mut progress = |done: usize, of: usize| {
            if talk {
                let end = if done == of { "\n" } else { "" };
                eprint!("\r{backend}: round {done} of {of}{end}");
                let _ = std::io::stderr().flush();
            }
        };
        let job = StepJob {
            bench: &bench,
            backend: backend.name(),
            progress: &mut progress,
        };
        let reports = run_on(backend, 0, job)??;
        if self.json {
            for report in &reports {
                println!(
                    "{}",
                    serde_json::to_string(report).context("writing the report")?
                );
            }
        } else {
            println!("{}", Table(&reports));
        }
        Ok(true)
    }
}
