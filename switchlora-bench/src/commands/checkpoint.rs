//! `switchlora-bench checkpoint`: times checkpoints during training.

use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use switchlora_bench::children;
use switchlora_bench::saving::{SavingBench, Summary};
use switchlora_bench::step::check_batch;
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::experiment::{Method, flags};
use switchlora_train::model::LlamaConfig;
use switchlora_train::say::answer;

/// Arguments of `checkpoint`.
#[derive(Args)]
pub struct Checkpoint {
    /// Preset or Hugging Face config.json.
    #[arg(long, default_value = "60m", value_name = "PRESET|FILE")]
    model: String,
    /// Training method.
    #[arg(long, value_parser = flags::method(), default_value_t)]
    method: Method,
    /// Rank of the LoRA factors [default: a quarter of the hidden size, at most half of the narrowest projection].
    #[arg(long)]
    rank: Option<usize>,
    /// Sequences per batch.
    #[arg(long, default_value_t = 1)]
    batch_size: usize,
    /// Sequence length in tokens.
    #[arg(long, default_value_t = 128)]
    sequence_length: usize,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Updates between two checkpoints.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    updates: u16,
    /// Number of checkpoints.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// Folder in which a folder for the checkpoints is made and removed; choose the disk that runs are saved to.
    #[arg(long, default_value = "runs", value_parser = flags::path())]
    folder: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Checkpoint {
    /// Measures and prints. Returns true.
    ///
    /// # Errors
    ///
    /// The arguments are wrong, the backend fails, or a checkpoint cannot be written.
    pub fn run(self) -> Result<bool> {
        let config = LlamaConfig::resolve(&self.model)?;
        check_batch(&self.model, &config, self.batch_size, self.sequence_length)?;
        let folder = self.folder;
        let unmade = || format!("cannot make a folder in {}", folder.display());
        fs::create_dir_all(&folder).with_context(unmade)?;
        // A folder of its own, which is removed in the end: what else is there belongs to the user.
        let own = tempfile::Builder::new()
            .prefix(".bench-checkpoint-")
            .tempdir_in(&folder)
            .with_context(unmade)?;
        children::remove_when_ended(own.path().to_path_buf());
        let bench = SavingBench {
            rank: self.rank.unwrap_or(config.default_rank()),
            config,
            method: self.method,
            batch_size: self.batch_size,
            sequence_length: self.sequence_length,
            updates: self.updates.into(),
            repeats: self.repeats.into(),
            folder: own.path().to_path_buf(),
        };
        let backend = self.backend.choose()?.backend;
        let reports = run_on(backend, 0, bench)?;
        drop(own);
        let summary = Summary::of(&reports?);
        match self.json {
            true => answer(serde_json::to_string(&summary)?)?,
            false => answer(format_args!(
                "{} on {}, backend {backend}\n{summary}",
                self.method.name(),
                self.model
            ))?,
        }
        Ok(true)
    }
}
