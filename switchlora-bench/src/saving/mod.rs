//! What a checkpoint costs: for how long a training waits for it, how much slower it is while the checkpoint is written,
//! how large it is, and how near that comes to what memory and disk allow.
//!
//! Each repetition takes some updates without a checkpoint, then copies the state to the host (the training waits for that),
//! then goes on while a thread writes it as `switchlora-train` does: with checksums, flushed, renamed and read back. The
//! floors are measured in the same repetition: the same number of bytes copied in memory, and the same number written to one
//! file of the same folder and flushed.

mod floor;
mod report;

pub use report::{SavingReport, Summary};

use crate::step::timed;
use crate::tokens::RandomTokens;
use anyhow::{Context, Result};
use burn::tensor::backend::AutodiffBackend;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use switchlora_core::{ClipGradNorm, MethodConfig};
use switchlora_train::backend::Job;
use switchlora_train::checkpoint::{self, FORMAT, OptimizerState, Snapshot, State};
use switchlora_train::data::Tokenizer;
use switchlora_train::experiment::{Experiment, Method};
use switchlora_train::model::{LlamaConfig, LlamaForCausalLm};
use switchlora_train::training::Training;

/// Updates before the first that is timed.
const WARM_UP: usize = 2;

/// What is measured.
#[derive(Clone, Debug)]
pub struct SavingBench {
    /// The model.
    pub config: LlamaConfig,
    /// How it is trained.
    pub method: Method,
    /// Rank of the factors.
    pub rank: usize,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// Updates without a checkpoint, for each checkpoint.
    pub updates: usize,
    /// Checkpoints.
    pub repeats: usize,
    /// Where they are written.
    pub folder: PathBuf,
}

impl Job for SavingBench {
    type Output = Result<Vec<SavingReport>>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Self::Output {
        let mut training = Trained::<B>::new(&self, &device)?;
        for _ in 0..WARM_UP {
            training.update()?;
        }
        (0..self.repeats)
            .map(|_| self.repeat(&mut training))
            .collect()
    }
}

impl SavingBench {
    fn repeat<B: AutodiffBackend>(&self, training: &mut Trained<B>) -> Result<SavingReport> {
        let alone = (0..self.updates).map(|_| training.update());
        let alone = alone.collect::<Result<Vec<_>>>()?;

        let began = Instant::now();
        let snapshot = training.snapshot(self);
        let waited = began.elapsed();
        let folder = self.folder.clone();
        let writing = thread::spawn(move || {
            let began = Instant::now();
            let saved = checkpoint::write(&folder, snapshot);
            (saved, began.elapsed())
        });
        let mut beside = Vec::new();
        while !writing.is_finished() || beside.is_empty() {
            beside.push(training.update()?);
        }
        let (saved, written) = writing
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that writes ended early"))?;
        let saved = saved?;
        let removed = std::fs::remove_dir_all(&saved.path);
        removed.with_context(|| saved.path.display().to_string())?;
        let disk = floor::disk(&self.folder, saved.bytes)
            .with_context(|| format!("cannot write in {}", self.folder.display()))?;
        Ok(SavingReport {
            bytes: saved.bytes,
            alone,
            beside,
            waited,
            written,
            memory: floor::memory(saved.bytes),
            disk,
        })
    }
}

/// The training whose checkpoints are written.
struct Trained<B: AutodiffBackend> {
    training: Training<B>,
    batches: RandomTokens<B>,
    method: MethodConfig,
    device: B::Device,
    tokenizer: Tokenizer,
}

impl<B: AutodiffBackend> Trained<B> {
    fn new(bench: &SavingBench, device: &B::Device) -> Result<Self> {
        let method = timed(bench.method, bench.rank)?;
        let model = LlamaForCausalLm::new(&bench.config, &method.layers, 0, device);
        let optimizer = ClipGradNorm::new(1.0, method.optimizer());
        let shape = [bench.batch_size, bench.sequence_length];
        Ok(Self {
            training: Training::from_parts(model, optimizer, |_| 1e-3, 1),
            batches: RandomTokens::new(bench.config.vocab_size, shape, 0, device),
            method,
            device: device.clone(),
            tokenizer: Tokenizer::embedded()?,
        })
    }

    /// One update, and its duration.
    fn update(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.training.update(&mut self.batches, &mut ())?;
        // A device that is lost says so at the next read.
        let _ = B::sync(&self.device);
        Ok(began.elapsed())
    }

    fn snapshot(&self, bench: &SavingBench) -> Snapshot {
        let step = self.training.step();
        let state = State {
            format: FORMAT,
            step,
            tokens: step * (bench.batch_size * bench.sequence_length) as u64,
            batches: step,
            skipped: 0,
            recent_skips: Vec::new(),
            experiment: Experiment::default(),
            model: bench.config.clone(),
            method: self.method.layers.clone(),
            factors: self.method.layers.factors,
            tokenizer_sha256: self.tokenizer.sha256(),
            data_sha256: String::new(),
            best: None,
            optimizer: OptimizerState::default(),
        };
        self.training.snapshot(state, self.tokenizer.shared_json())
    }
}
