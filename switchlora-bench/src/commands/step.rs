//! `switchlora-bench step`: times one update of each method.

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::io::IsTerminal;
use switchlora_bench::step::{Peer, StepBench, StepJob, Table};
use switchlora_core::{Candidates, PoolPrecision};
use switchlora_train::backend::{BackendKind, run_on};
use switchlora_train::experiment::{Method, Precision, flags};
use switchlora_train::model::{LlamaConfig, Recompute};
use switchlora_train::say::{answer, tell, tell_part};

/// Arguments of `step`.
#[derive(Args)]
pub struct Step {
    /// Preset or Hugging Face config.json.
    #[arg(long, default_value = "tiny", value_name = "PRESET|FILE")]
    model: String,
    /// Rank of the LoRA factors [default: a quarter of the hidden size, at most half of the narrowest projection].
    #[arg(long)]
    rank: Option<usize>,
    /// Sequences per batch.
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// Sequence length in tokens.
    #[arg(long, default_value_t = 128)]
    sequence_length: usize,
    /// Methods to time, separated by commas.
    #[arg(
        long,
        value_parser = flags::method(),
        value_delimiter = ',',
        default_value = "full,lora,switchlora"
    )]
    methods: Vec<Method>,
    /// Backend to run on.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Dtype of the matrix products.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    precision: Precision,
    /// Dtype of the frozen weights in memory.
    #[arg(long, value_parser = flags::precision(), default_value_t)]
    frozen: Precision,
    /// Where SwitchLoRA's candidate vectors come from.
    #[arg(long, value_parser = flags::candidates(), default_value_t)]
    candidates: Candidates,
    /// In how many bits the numbers of SwitchLoRA's candidate vectors are kept.
    #[arg(long, value_parser = flags::pool_precision(), default_value_t)]
    pool_precision: PoolPrecision,
    /// Activations that the backward pass computes again instead of keeping them.
    #[arg(long, value_enum, default_value_t)]
    recompute: Recompute,
    /// Methods with a rank train a plain model: the optimizer holds the factors and projects the gradients.
    #[arg(long)]
    plain: bool,
    /// Updates to time, after a warm-up.
    #[arg(long, default_value_t = 20)]
    updates: usize,
    /// Do not time the switches by themselves: for that SwitchLoRA gets a second optimizer, and its moments and candidates
    /// twice the memory. Use it to measure memory.
    #[arg(long)]
    no_switch_time: bool,
    /// Seed of the random weights and tokens.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// CPU threads, 1 to 1024 [default: RAYON_NUM_THREADS, else the number of cores].
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub threads: Option<usize>,
    /// Also time the same updates in plain PyTorch, alternating with ours; needs a Python with torch, transformers and
    /// peft.
    #[arg(long)]
    peer: bool,
    /// With --peer: compile PyTorch's models with torch.compile.
    #[arg(long, requires = "peer")]
    compile: bool,
    /// Python program for --peer.
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    python: String,
    /// Print one JSON object per line and method instead of a table.
    #[arg(long)]
    json: bool,
}

impl Step {
    /// Times the methods and prints the result. Returns true.
    ///
    /// # Errors
    ///
    /// The arguments are wrong, the backend fails, or PyTorch cannot be started.
    pub fn run(self) -> Result<bool> {
        let config = LlamaConfig::resolve(&self.model)?;
        let bench = StepBench {
            rank: self.rank.unwrap_or(config.default_rank()),
            model: self.model,
            config,
            precision: self.precision,
            frozen: self.frozen,
            candidates: self.candidates,
            pool_precision: self.pool_precision,
            recompute: self.recompute,
            plain: self.plain,
            batch_size: self.batch_size,
            sequence_length: self.sequence_length,
            methods: self.methods,
            updates: self.updates,
            switch_time: !self.no_switch_time,
            seed: self.seed,
        };
        let backend = self.backend.choose()?.backend;
        backend.check_device(0, &[self.precision, self.frozen])?;
        bench.validate()?;
        let threads = rayon::current_num_threads();
        let mut peer = match self.peer {
            true => {
                let cuda = backend == BackendKind::Cuda;
                let peer = Peer::start(&self.python, &bench, threads, cuda, self.compile)?;
                tell(format_args!("compared with {}", peer.description));
                Some(peer)
            }
            false => None,
        };
        let talk = std::io::stderr().is_terminal();
        let mut progress = |done: usize, of: usize| {
            if talk {
                let end = if done == of { "\n" } else { "" };
                tell_part(format_args!("\r{backend}: round {done} of {of}{end}"));
            }
        };
        let job = StepJob {
            bench: &bench,
            backend: backend.name(),
            peer: peer.as_mut(),
            progress: &mut progress,
        };
        let reports = run_on(backend, 0, job)??;
        if self.json {
            for report in &reports {
                answer(serde_json::to_string(report).context("writing the report")?)?;
            }
        } else {
            answer(Table(&reports))?;
        }
        Ok(true)
    }
}
