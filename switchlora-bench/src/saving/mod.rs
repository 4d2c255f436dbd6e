//! The cost of a checkpoint: how long the training waits, how much slower its updates are while the checkpoint is
//! written, the size of the checkpoint, and the lower bounds set by memory and disk.
//!
//! Each repetition does some updates without a checkpoint, then reads the state to the host while the training waits,
//! then goes on training while a thread writes it as `switchlora-train` does: with checksums, flushed, renamed and read
//! back. On Flex the first of these updates waits until the state is written, before it changes it. The same repetition measures the lower bounds: the time to copy as many bytes in memory, and the time
//! to write and flush as many bytes to one file in the same folder.

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
use switchlora_train::training::{Lease, Observer, Training};

/// Number of updates before the first timed one.
const WARM_UP: usize = 2;

/// Settings of the measurement.
#[derive(Clone, Debug)]
pub struct SavingBench {
    /// The model.
    pub config: LlamaConfig,
    /// Training method.
    pub method: Method,
    /// Rank of the LoRA factors or projections.
    pub rank: usize,
    /// Sequences per batch.
    pub batch_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// Number of updates between two checkpoints.
    pub updates: usize,
    /// Number of checkpoints.
    pub repeats: usize,
    /// Folder for the checkpoints.
    pub folder: PathBuf,
}

impl Job for SavingBench {
    type Output = Result<Vec<SavingReport>>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Self::Output {
        let mut training = Trained::<B>::new(&self, &device)?;
        for _ in 0..WARM_UP {
            training.update(&mut ())?;
        }
        (0..self.repeats)
            .map(|_| self.repeat(&mut training))
            .collect()
    }
}

impl SavingBench {
    fn repeat<B: AutodiffBackend>(&self, training: &mut Trained<B>) -> Result<SavingReport> {
        let alone = (0..self.updates).map(|_| training.update(&mut ()));
        let alone = alone.collect::<Result<Vec<_>>>()?;

        let began = Instant::now();
        let snapshot = training.snapshot(self);
        let waited = began.elapsed();
        let folder = self.folder.clone();
        let (mut lease, reading) = Lease::new();
        let writing = thread::spawn(move || {
            let began = Instant::now();
            let saved = checkpoint::write(&folder, snapshot, || drop(reading));
            (saved, began.elapsed())
        });
        let mut beside = Vec::new();
        while !writing.is_finished() || beside.is_empty() {
            beside.push(training.update(&mut lease)?);
        }
        let (saved, written) = writing
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that writes the checkpoint panicked"))?;
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
        let method = timed(bench.method, bench.rank, &bench.config.shape())?;
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

    /// Does one update and returns its duration.
    fn update(&mut self, observer: &mut dyn Observer<B>) -> Result<Duration> {
        let began = Instant::now();
        self.training.update(&mut self.batches, observer)?;
        // A lost device gives an error at the next read.
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
            tokenizer: Some(self.tokenizer.record().clone()),
            data_sha256: String::new(),
            best: None,
            optimizer: OptimizerState::default(),
        };
        self.training.snapshot(state, self.tokenizer.shared_json())
    }
}
