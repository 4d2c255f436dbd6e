//! `switchlora-bench run`, and the cells it starts.

use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;
use switchlora_bench::cells::Cell;
use switchlora_bench::results::BackendRow;
use switchlora_bench::suites::{Settings, Suite, run};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Method, Precision, flags};

/// Arguments of `run`.
#[derive(Args)]
pub struct Run {
    /// What to measure, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    suite: Vec<Suite>,
    /// Presets or config.json files, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "tiny")]
    models: Vec<String>,
    /// Methods, separated by commas.
    #[arg(
        long,
        value_parser = flags::method(),
        value_delimiter = ',',
        default_value = "full,lora,switchlora"
    )]
    methods: Vec<Method>,
    /// Backends, separated by commas; every one that works here unless given.
    #[arg(long, value_enum, value_delimiter = ',')]
    backends: Vec<BackendKind>,
    /// Fail if a backend that is named does not work here; without this it is a row that says why.
    #[arg(long)]
    strict: bool,
    /// Number of the device.
    #[arg(long, default_value_t = 0)]
    device: usize,
    /// What to compute in, separated by commas.
    #[arg(long, value_parser = flags::precision(), value_delimiter = ',', default_value = "f32")]
    precision: Vec<Precision>,
    /// What frozen weights rest in.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    frozen: Precision,
    /// Rank of the factors; a quarter of the model's width unless given.
    #[arg(long)]
    rank: Option<usize>,
    /// Sequences in a batch.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Tokens in a sequence.
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Updates that `step` times.
    #[arg(long)]
    updates: Option<usize>,
    /// Updates of each training of `convergence`.
    #[arg(long)]
    steps: Option<u64>,
    /// Small batches and few updates: minutes instead of an hour.
    #[arg(long)]
    quick: bool,
    /// The folder for results and reports; what is measured there already is not measured again.
    #[arg(long, default_value = "bench")]
    out: PathBuf,
    /// Measure everything again.
    #[arg(long)]
    fresh: bool,
}

impl Run {
    /// As it should be if every cell could be measured and all backends agree.
    pub fn run(self) -> Result<bool> {
        let pick = |whole, quick| if self.quick { quick } else { whole };
        let settings = Settings {
            suites: self.suite,
            models: self.models,
            methods: self.methods,
            backends: self.backends,
            precisions: self.precision,
            frozen: self.frozen,
            device: self.device,
            rank: self.rank,
            batch_size: self.batch_size.unwrap_or(pick(8, 2)),
            sequence_length: self.sequence_length.unwrap_or(pick(128, 64)),
            updates: self.updates.unwrap_or(pick(10, 4)),
            steps: self.steps.unwrap_or(pick(100, 10) as u64),
            agreement_steps: pick(50, 10) as u64,
            out: self.out,
            fresh: self.fresh,
        };
        let named = settings.backends.clone();
        let words: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("switchlora-bench {}", words.join(" "));
        let results = run(&settings, &command, |line| eprintln!("{line}"))?;
        println!("{}", switchlora_bench::report::markdown(&results));
        let named = |row: &&BackendRow| named.iter().any(|kind| kind.name() == row.backend);
        let absent: Vec<_> = results.backends.iter().filter(named).collect();
        let absent: Vec<_> = absent.into_iter().filter(|row| !row.works).collect();
        for row in &absent {
            eprintln!(
                "not measured: {}",
                row.reason.as_deref().unwrap_or(&row.backend)
            );
        }
        eprintln!(
            "results.json, report.md and report.html are in {}",
            settings.out.display()
        );
        let all = (absent.is_empty() || !self.strict) && results.failures.is_empty();
        Ok(all && results.agreement.iter().all(|row| row.agrees))
    }
}

/// Arguments of `cell`.
#[derive(Args)]
pub struct One {
    /// The cell, as JSON.
    cell: String,
}

impl One {
    /// Always as it should be, if it can be measured at all.
    pub fn run(self) -> Result<bool> {
        let cell: Cell = serde_json::from_str(&self.cell).context("not a cell")?;
        let found = cell.measure()?;
        println!("{}", serde_json::to_string(&found)?);
        Ok(true)
    }
}
