//! `switchlora-bench run`: a full benchmark, and `cell`: one measurement of it.

use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;
use switchlora_bench::cells::Cell;
use switchlora_bench::results::BackendRow;
use switchlora_bench::suites::{Settings, Suite, run};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Method, Precision, flags};
use switchlora_train::model::Recompute;
use switchlora_train::say::{answer, tell};

/// Arguments of `run`.
#[derive(Args)]
pub struct Run {
    /// Measurements, separated by commas.
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
    /// Backends, separated by commas [default: all that work here].
    #[arg(long, value_enum, value_delimiter = ',')]
    backends: Vec<BackendKind>,
    /// Fail if a backend given by name does not work here, instead of reporting the reason in a row.
    #[arg(long)]
    strict: bool,
    /// Index of the device.
    #[arg(long, default_value_t = 0)]
    device: usize,
    /// Dtypes of the matrix products, separated by commas.
    #[arg(long, value_parser = flags::precision(), value_delimiter = ',', default_value = "f32")]
    precision: Vec<Precision>,
    /// Dtype of the frozen weights in memory.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    frozen: Precision,
    /// Activations that the backward pass computes again instead of keeping them.
    #[arg(long, value_enum, default_value_t)]
    recompute: Recompute,
    /// Rank of the LoRA factors [default: a quarter of the hidden size, at most half of the narrowest projection].
    #[arg(long)]
    rank: Option<usize>,
    /// Sequences per batch [default: 8; with --quick 2].
    #[arg(long)]
    batch_size: Option<usize>,
    /// Sequence length in tokens [default: 128; with --quick 64].
    #[arg(long)]
    sequence_length: Option<usize>,
    /// Updates to time in `step` [default: 10; with --quick 4].
    #[arg(long)]
    updates: Option<usize>,
    /// Updates per training in `convergence` [default: 100; with --quick 10].
    #[arg(long)]
    steps: Option<u64>,
    /// Use small batches and few updates: takes minutes instead of an hour.
    #[arg(long)]
    quick: bool,
    /// Folder for results and reports; measurements with a result there are not repeated.
    #[arg(long, default_value = "bench", value_parser = flags::path())]
    out: PathBuf,
    /// Repeat all measurements.
    #[arg(long)]
    fresh: bool,
}

impl Run {
    /// Runs the benchmark. Returns whether every cell was measured, all backends agree and, with `--strict`, every
    /// named backend works.
    ///
    /// # Errors
    ///
    /// No backend works, or the folder cannot be written.
    pub fn run(self) -> Result<bool> {
        let pick = |whole, quick| if self.quick { quick } else { whole };
        let settings = Settings {
            suites: self.suite,
            models: self.models,
            methods: self.methods,
            backends: self.backends,
            precisions: self.precision,
            frozen: self.frozen,
            recompute: self.recompute,
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
        let results = run(&settings, &command, |line| tell(line))?;
        answer(switchlora_bench::report::markdown(&results))?;
        let named = |row: &&BackendRow| named.iter().any(|kind| kind.name() == row.backend);
        let absent: Vec<_> = results.backends.iter().filter(named).collect();
        let absent: Vec<_> = absent.into_iter().filter(|row| !row.works).collect();
        for row in &absent {
            tell(format_args!(
                "not measured: {}",
                row.reason.as_deref().unwrap_or(&row.backend)
            ));
        }
        if settings.wants(Suite::Agreement) && results.agreement.is_empty() {
            tell("agreement: nothing was compared; it takes two backends, or two precisions");
        }
        tell(format_args!(
            "results.json, report.md and report.html are in {}",
            settings.out.display()
        ));
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
    /// Measures the cell and prints the result as JSON. Returns true.
    ///
    /// # Errors
    ///
    /// `cell` is not a cell, or the measurement fails.
    pub fn run(self) -> Result<bool> {
        let cell: Cell = serde_json::from_str(&self.cell).context("not a cell")?;
        let found = cell.measure()?;
        answer(serde_json::to_string(&found)?)?;
        Ok(true)
    }
}
