//! The memory of one training: between two updates, and at its peak.
//!
//! On a CPU it is the resident memory of the process, minus the resident memory before the model was made. Freed memory
//! is returned to the system before reading. On a GPU it is the size of the backend's memory pools.

use crate::results::MemoryRow;
use crate::step::check_batch;
use crate::tokens::RandomTokens;
use anyhow::{Context, Result};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use switchlora_train::backend::{BackendKind, Job, device_memory, nvidia_card};
use switchlora_train::experiment::Experiment;
use switchlora_train::memory::{Resident, resident};
use switchlora_train::model::LlamaForCausalLm;
use switchlora_train::plan::Batch;
use switchlora_train::training::Training;

/// Number of updates: the first creates the moments, the second reaches the peak, the third confirms it.
const UPDATES: usize = 3;

/// A measurement that differs from the computed bytes by more than this share gets a note.
const EXPLAINED: f64 = 0.1;

/// Measures the memory of a training. Run it in a process that has done nothing else.
pub(super) struct Memory(pub Experiment);

impl Job for Memory {
    type Output = Result<MemoryRow>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<MemoryRow> {
        let (experiment, config, method) = self.0.resolve()?;
        method.validate_for(&config.shape())?;
        let (batch, length) = (experiment.batch_size, experiment.sequence_length);
        check_batch(&experiment.model, &config, batch, length)?;
        // Starts threads and everything else that the first computation allocates, so that it is not counted.
        let _ = Tensor::<B, 2>::ones([64, 64], &device)
            .matmul(Tensor::ones([64, 64], &device))
            .into_data();
        let before = resident().context("this system does not report the memory of a process")?;
        let model =
            LlamaForCausalLm::<B>::new(&config, &experiment.model_layers(&method), 0, &device);
        let optimizer = experiment.optimizer(&method);
        let mut training = Training::from_parts(model, optimizer, |_| 1e-3, 1);
        let shape = [experiment.batch_size, experiment.sequence_length];
        let mut batches = RandomTokens::new(config.vocab_size, shape, 0, &device);
        for _ in 0..UPDATES {
            training.update(&mut batches, &mut ())?;
        }
        B::sync(&device).context("the device was lost")?;
        let (state, peak, source) = match device_memory(experiment.backend, experiment.device) {
            Some(pool) => (pool.in_use, pool.reserved, "memory pools of the device"),
            None => {
                let after =
                    resident().context("this system no longer reports the memory of a process")?;
                let Resident { now, peak } = after;
                (
                    now.saturating_sub(before.now),
                    peak.saturating_sub(before.now),
                    "resident set",
                )
            }
        };
        // Every process on the card counts: run it alone there.
        let driver_bytes = match experiment.backend {
            BackendKind::Cuda => nvidia_card(experiment.device).map(|card| card.used_bytes),
            _ => None,
        };
        // Model and optimizer must exist until the memory has been read.
        drop(training);
        let rank = experiment.rank;
        let cost = experiment.cost(&config, &method);
        let predicted = cost.weight_bytes + cost.moment_bytes + cost.pool_bytes;
        let batch = Batch::of(&experiment);
        let off = state as f64 / predicted as f64 - 1.0;
        Ok(MemoryRow {
            backend: experiment.backend.name().to_owned(),
            method: experiment.method.name().to_owned(),
            model: experiment.model,
            rank,
            frozen: experiment.frozen.name().to_owned(),
            source: source.to_owned(),
            weights: cost.weight_bytes,
            gradients: cost.gradient_bytes,
            moments: cost.moment_bytes,
            candidates: cost.pool_bytes,
            activations: batch.activation_bytes(&config),
            predicted_peak: batch.peak_bytes(&config, &cost),
            measured_state: state,
            measured_peak: peak,
            driver_bytes,
            note: (off.abs() > EXPLAINED).then(|| {
                let extra = (state as f64 - predicted as f64) / 1e6;
                format!(
                    "{extra:+.1} MB beside the state: memory of threads, allocator and runtime, nearly independent of the model"
                )
            }),
        })
    }
}
