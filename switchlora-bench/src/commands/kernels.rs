//! `switchlora-bench kernels`: lists the kernels of an update.

use anyhow::{Result, bail};
use clap::Args;
use switchlora_bench::kernels::Kernels as Job;
use switchlora_train::backend::{BackendKind, log_kernels, run_on};
use switchlora_train::experiment::{Method, Precision, flags};
use switchlora_train::model::LlamaConfig;
use switchlora_train::say::answer;

/// Arguments of `kernels`.
#[derive(Args)]
pub struct Kernels {
    /// Preset or Hugging Face config.json.
    #[arg(long, default_value = "tiny", value_name = "PRESET|FILE")]
    model: String,
    /// Training method.
    #[arg(long, value_parser = flags::method(), default_value_t)]
    method: Method,
    /// Rank of the LoRA factors [default: a quarter of the hidden size, at most half of the narrowest projection].
    #[arg(long)]
    rank: Option<usize>,
    /// Sequences per batch.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    batch_size: u32,
    /// Sequence length in tokens.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    sequence_length: u32,
    /// Dtype of the matrix products.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    precision: Precision,
    /// Backend to run on: wgpu or cuda.
    #[arg(long, value_enum)]
    backend: BackendKind,
    /// Updates to list.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    updates: u16,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Kernels {
    /// Runs a few updates and prints their kernels. Returns true.
    ///
    /// # Errors
    ///
    /// The arguments are wrong, or the backend has no kernels or fails.
    pub fn run(self) -> Result<bool> {
        let config = LlamaConfig::resolve(&self.model)?;
        let most = config.max_position_embeddings;
        if self.sequence_length as usize > most {
            let length = self.sequence_length;
            bail!(
                "sequence length is {length}: expected 1 to {most}, the positions of the model; change --sequence-length"
            );
        }
        let log =
            std::env::temp_dir().join(format!("switchlora-kernels-{}.log", std::process::id()));
        if !log_kernels(&log) {
            bail!(
                "this program has no backend with kernels: build with --features wgpu or --features cuda"
            );
        }
        let backend = self.backend.choose()?.backend;
        let job = Job {
            rank: self.rank.unwrap_or(config.default_rank()),
            config,
            method: self.method,
            precision: self.precision,
            batch: [self.batch_size as usize, self.sequence_length as usize],
            updates: self.updates.into(),
            log: log.clone(),
        };
        let found = run_on(backend, 0, job);
        let _ = std::fs::remove_file(log);
        let found = found??;
        match self.json {
            true => answer(serde_json::to_string(&found)?)?,
            false => answer(format_args!("{backend}: {found}"))?,
        }
        Ok(true)
    }
}
