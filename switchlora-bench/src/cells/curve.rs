//! The losses of one training, update by update, and what it switched.

use crate::results::Curve;
use anyhow::{Context, Result, bail};
use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Instant;
use switchlora_core::{Algorithm, ClipGradNorm, SwitchLoraConfig, SwitchSchedule};
use switchlora_train::backend::Job;
use switchlora_train::data::{
    Prepared, TokenBatch, Tokenizer, TrainBatches, ValidationBatches, Windows,
};
use switchlora_train::experiment::{Experiment, WarmStart};
use switchlora_train::hexadecimal;
use switchlora_train::model::{LlamaConfig, LlamaForCausalLm};
use switchlora_train::training::{LearningRateSchedule, mean_loss, scalar};

/// A curve, and a fingerprint of every switch in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CurveResult {
    /// The curve.
    pub curve: Curve,
    /// SHA-256 over path, rows and slots of every exchange, in order.
    pub switch_sha256: String,
}

/// One training, the same on every backend: initial weights, data, order and switches follow from the seed.
pub(super) struct CurveJob {
    experiment: Experiment,
    model: LlamaConfig,
    method: SwitchLoraConfig,
    train: TrainBatches,
    validation: ValidationBatches,
}

impl CurveJob {
    pub fn new(experiment: Experiment, tokens: &[PathBuf]) -> Result<Self> {
        let (experiment, mut model, method) = experiment.resolve()?;
        let tokenizer = Tokenizer::embedded()?;
        model.vocab_size = model.vocab_size.max(tokenizer.vocab_size());
        let length = experiment.sequence_length;
        model.max_position_embeddings = model.max_position_embeddings.max(length);
        let prepared = Prepared::from_paths(tokens, &tokenizer)?;
        let cut = |rows| Windows::over(rows, length, model.vocab_size);
        let (train, validation) = (cut(prepared.train)?, cut(prepared.validation)?);
        let (batch, limit) = (
            experiment.batch_size,
            Some(experiment.eval_sequences.max(1)),
        );
        Ok(Self {
            train: TrainBatches::new(train, batch, experiment.seed)?,
            validation: ValidationBatches::new(validation, batch, limit)?,
            experiment,
            model,
            method,
        })
    }
}

/// A training that has ended.
pub(super) struct Trained<B: AutodiffBackend> {
    pub result: CurveResult,
    pub model: LlamaForCausalLm<B>,
    pub skipped: u64,
}

impl CurveJob {
    /// The model before the first update.
    pub fn model<B: AutodiffBackend>(&self, device: &B::Device) -> LlamaForCausalLm<B> {
        let experiment = &self.experiment;
        let layers = match experiment.full_rank_updates() {
            0 => self.method.clone(),
            _ => SwitchLoraConfig {
                rank: None,
                schedule: SwitchSchedule::Never,
                ..self.method.clone()
            },
        };
        LlamaForCausalLm::new(&self.model, &layers, experiment.seed, device)
    }

    /// Trains, update by update.
    pub fn train<B: AutodiffBackend>(&self, device: &B::Device) -> Result<Trained<B>> {
        let experiment = &self.experiment;
        if let Some(WarmStart::From(path)) = &experiment.warm_start {
            bail!(
                "warm_start is {}, expected a number of updates: a comparison starts every training from its seed",
                path.display()
            );
        }
        let mut model = self.model::<B>(device);
        let full_rank = experiment.full_rank_updates();
        let method = || experiment.algorithm().map(|a| a.optimizer(&self.method));
        let first = match full_rank {
            0 => method()?,
            _ => {
                let plain = SwitchLoraConfig {
                    schedule: SwitchSchedule::Never,
                    ..self.method.clone()
                };
                Algorithm::SwitchLora.optimizer(&plain)
            }
        };
        let mut optimizer = ClipGradNorm::new(experiment.clip, first);
        let schedule = LearningRateSchedule::of(experiment);
        let mut curve = Curve {
            backend: experiment.backend.name().to_owned(),
            method: experiment.method.name().to_owned(),
            model: experiment.model.clone(),
            precision: experiment.numbers(),
            rank: experiment.rank,
            lr: schedule.peak,
            tokens_per_update: experiment.tokens_per_update(),
            losses: Vec::new(),
            seconds: Vec::new(),
            switches: Vec::new(),
            evaluations: Vec::new(),
        };
        let mut sha = Sha256::new();
        let mut seconds = 0.0;
        for update in 0..experiment.steps {
            let began = Instant::now();
            if full_rank > 0 && update == full_rank {
                model = model.adapted(&self.method, experiment.seed);
                let skipped = optimizer.skipped();
                optimizer = ClipGradNorm::new(experiment.clip, method()?).with_skipped(skipped);
            }
            let (inputs, targets) = self.train.batch(update)?;
            let length = experiment.sequence_length;
            let batch = TokenBatch::<B>::new(inputs, targets, length, device);
            let loss = model.loss(batch.inputs, batch.targets);
            let value = loss.clone().inner();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(schedule.rate(update), model, gradients);
            curve.losses.push(scalar(value));
            B::sync(device).context("the device was lost")?;
            // Evaluations are not the training's time.
            seconds += began.elapsed().as_secs_f64();
            curve.seconds.push(seconds);
            curve
                .switches
                .push(optimizer.inner().last_switch_count() as u64);
            let switchlora = optimizer.inner().switchlora();
            for switch in switchlora.map_or(&[][..], |inner| inner.last_switches()) {
                let (a, b) = (&switch.a, &switch.b);
                let log = (
                    &switch.path,
                    [&a.rows, &b.rows],
                    [&a.saved, &b.saved, &a.loaded, &b.loaded],
                );
                sha.update(serde_json::to_vec(&log)?);
            }
            let done = update + 1;
            let every = experiment.eval_every;
            if done == experiment.steps || (every > 0 && done.is_multiple_of(every)) {
                let loss = mean_loss(&model.valid(), &self.validation, device)?;
                curve.evaluations.push((done, loss));
            }
        }
        Ok(Trained {
            result: CurveResult {
                curve,
                switch_sha256: hexadecimal(sha.finalize()),
            },
            model,
            skipped: optimizer.skipped(),
        })
    }
}

impl Job for CurveJob {
    type Output = Result<CurveResult>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<CurveResult> {
        Ok(self.train::<B>(&device)?.result)
    }
}
