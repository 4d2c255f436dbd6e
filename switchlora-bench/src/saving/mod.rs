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

use crate::step::{algorithm, busiest};
use anyhow::{Context, Result};
use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Int, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use switchlora_core::{ClipGradNorm, MethodOptimizer, SwitchLoraConfig};
use switchlora_train::backend::Job;
use switchlora_train::checkpoint::{self, FORMAT, Snapshot, State};
use switchlora_train::data::Tokenizer;
use switchlora_train::experiment::{Experiment, Method};
use switchlora_train::model::{HostParameters, LlamaConfig, LlamaForCausalLm, parameter_names};

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
        let mut training = Training::<B>::new(&self, &device)?;
        (0..WARM_UP).for_each(|_| _ = training.update());
        (0..self.repeats)
            .map(|_| self.repeat(&mut training))
            .collect()
    }
}

impl SavingBench {
    fn repeat<B: AutodiffBackend>(&self, training: &mut Training<B>) -> Result<SavingReport> {
        let alone: Vec<_> = (0..self.updates).map(|_| training.update()).collect();

        let began = Instant::now();
        let snapshot = training.snapshot(self)?;
        let waited = began.elapsed();
        let folder = self.folder.clone();
        let writing = thread::spawn(move || {
            let began = Instant::now();
            let saved = checkpoint::write(&folder, snapshot);
            (saved, began.elapsed())
        });
        let mut beside = Vec::new();
        while !writing.is_finished() || beside.is_empty() {
            beside.push(training.update());
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

type Model<B> = LlamaForCausalLm<B>;

/// A training under way.
struct Training<B: AutodiffBackend> {
    method: SwitchLoraConfig,
    model: Option<Model<B>>,
    optimizer: ClipGradNorm<MethodOptimizer<Model<B>, B>>,
    batch: Tensor<B, 2, Int>,
    device: B::Device,
    tokenizer: Tokenizer,
    step: u64,
}

impl<B: AutodiffBackend> Training<B> {
    fn new(bench: &SavingBench, device: &B::Device) -> Result<Self> {
        let schedule = busiest(bench.method);
        let method = SwitchLoraConfig {
            factors: bench.method.factors(),
            ..SwitchLoraConfig::new(bench.method.rank(bench.rank), schedule)?
        };
        let model = Model::new(&bench.config, &method, 0, device);
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let shape = [bench.batch_size, bench.sequence_length];
        let vocabulary = bench.config.vocab_size as i32;
        let tokens = (0..shape[0] * shape[1]).map(|_| random.random_range(0..vocabulary));
        let tokens = TensorData::new(tokens.collect(), shape);
        Ok(Self {
            optimizer: ClipGradNorm::new(
                1.0,
                algorithm(bench.method, bench.rank)?.optimizer(&method),
            ),
            method,
            model: Some(model),
            batch: Tensor::from_data(tokens, device),
            device: device.clone(),
            tokenizer: Tokenizer::embedded()?,
            step: 0,
        })
    }

    /// One update, and how long it took.
    fn update(&mut self) -> Duration {
        let began = Instant::now();
        if let Some(model) = self.model.take() {
            let loss = model.loss(self.batch.clone(), self.batch.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            self.model = Some(self.optimizer.step(1e-3, model, gradients));
            self.step += 1;
        }
        // A device that is lost says so at the next read.
        let _ = B::sync(&self.device);
        began.elapsed()
    }

    fn snapshot(&self, bench: &SavingBench) -> Result<Snapshot> {
        let model = self.model.as_ref().context("the model is in an update")?;
        let names = parameter_names::<B, _>(model);
        let (record, skipped) = Optimizer::<Model<B>, B>::to_record(&self.optimizer);
        let (optimizer, host) = checkpoint::split(record, &names);
        let state = State {
            format: FORMAT,
            step: self.step,
            tokens: self.step * (bench.batch_size * bench.sequence_length) as u64,
            batches: self.step,
            skipped,
            recent_skips: Vec::new(),
            experiment: Experiment::default(),
            model: bench.config.clone(),
            method: self.method.clone(),
            factors: self.method.factors,
            tokenizer_sha256: self.tokenizer.sha256(),
            data_sha256: String::new(),
            best: None,
            optimizer: host,
        };
        Ok(Snapshot {
            state,
            model: HostParameters::copy::<B::InnerBackend, _>(&model.valid()),
            optimizer,
            tokenizer: self.tokenizer.shared_json(),
        })
    }
}
