//! One of the methods that take turns: its training, its optimizers and the times of their phases.

use super::bench::{StepBench, StepError};
use super::method::{LEARNING_RATE, steady, timed};
use super::report::{StepReport, microseconds};
use crate::median::median;
use burn::tensor::backend::{AutodiffBackend, Backend};
use std::time::{Duration, Instant};
use switchlora_core::{ClipGradNorm, Method, MethodConfig};
use switchlora_ops::computes_at_once;
use switchlora_train::data::TokenBatch;
use switchlora_train::model::{LlamaForCausalLm, projection_weights};
use switchlora_train::training::{Observer, Optim, Phase, Training};

const MAX_NORM: f64 = 1.0;

/// One of the methods that take turns.
pub(super) struct Lane<B: AutodiffBackend> {
    method: Method,
    training: Training<B>,
    /// The optimizer with switches, if the method switches. The training has the one without.
    switching: Option<Optim<B>>,
    device: B::Device,
    times: Times,
}

/// The times of each phase, one entry per update.
#[derive(Default)]
struct Times {
    forward: Vec<Duration>,
    backward: Vec<Duration>,
    /// Optimizer without switches.
    steady: Vec<Duration>,
    /// Optimizer with switches.
    switching: Vec<Duration>,
    /// Whole updates: those with switches if the method switches.
    update: Vec<Duration>,
    /// The same without waiting between the phases, on a device that computes later.
    whole: Vec<Duration>,
    /// The part of `whole` in which the host was busy.
    queued: Vec<Duration>,
    /// Vectors switched in each update with switches.
    switches: Vec<usize>,
}

impl<B: AutodiffBackend> Lane<B> {
    pub fn new(method: Method, bench: &StepBench, device: &B::Device) -> Result<Self, StepError> {
        let mut config = timed(method, bench.rank, &bench.config.shape())?;
        (config.layers.precision, config.layers.frozen) = (bench.precision, bench.frozen);
        config.layers.candidates = bench.candidates;
        config.layers.pool_precision = bench.pool_precision;
        let plain = bench.plain && method.uses_rank();
        let layers = match plain {
            true => config.full_rank().layers,
            false => config.layers.clone(),
        };
        let model = LlamaForCausalLm::new(&bench.config, &layers, bench.seed, device);
        let model = model.recomputing(bench.recompute);
        let steady = steady(&config).filter(|_| bench.switch_time);
        let optimizer = |config: &MethodConfig| {
            let optimizer = config.optimizer();
            let optimizer = match plain {
                true => optimizer.on_weights(projection_weights(bench.rank)),
                false => optimizer,
            };
            ClipGradNorm::new(MAX_NORM, optimizer)
        };
        let switching = steady.as_ref().map(|_| optimizer(&config));
        let optimizer = optimizer(&steady.unwrap_or(config));
        Ok(Self {
            method,
            training: Training::from_parts(model, optimizer, |_| LEARNING_RATE, 1),
            switching,
            device: device.clone(),
            times: Times::default(),
        })
    }

    /// Discards the times so far.
    pub fn forget(&mut self) {
        self.times = Times::default();
    }

    /// Does one update with each optimizer; on a device that computes later, one more as a training does it, which waits
    /// at its end alone.
    ///
    /// # Errors
    ///
    /// Does not fail: one batch is enough for an update.
    pub fn round(&mut self, batch: &TokenBatch<B>) -> Result<(), StepError> {
        self.update(batch, false)?;
        let switches = self.switching.is_some();
        if switches {
            self.exchange_optimizers();
            self.update(batch, true)?;
        }
        if !computes_at_once::<B>(&self.device) {
            self.whole_update(batch)?;
        }
        if switches {
            self.exchange_optimizers();
        }
        Ok(())
    }

    /// Does one update with the optimizer of the training, and waits for the device at its end.
    fn whole_update(&mut self, batch: &TokenBatch<B>) -> Result<(), StepError> {
        let mut batches = std::iter::once(batch.clone());
        // A lost device gives an error at the next read.
        let _ = B::sync(&self.device);
        let began = Instant::now();
        self.training.update(&mut batches, &mut ())?;
        let queued = began.elapsed();
        let _ = B::sync(&self.device);
        self.times.whole.push(began.elapsed());
        self.times.queued.push(queued);
        Ok(())
    }

    /// Exchanges the optimizer of the training and the other one.
    fn exchange_optimizers(&mut self) {
        if let Some(waiting) = &mut self.switching {
            std::mem::swap(waiting, self.training.optimizer_mut());
        }
    }

    fn update(&mut self, batch: &TokenBatch<B>, switches: bool) -> Result<(), StepError> {
        let mut clock = Clock::<B>::start(&self.device);
        let mut batches = std::iter::once(batch.clone());
        let update = self.training.update(&mut batches, &mut clock)?;
        let [forward, backward, optimizer] = clock.laps;
        let times = &mut self.times;
        times.forward.push(forward);
        times.backward.push(backward);
        match switches {
            true => times.switching.push(optimizer),
            false => times.steady.push(optimizer),
        }
        if switches || self.switching.is_none() {
            times.update.push(forward + backward + optimizer);
            times.switches.push(update.switches);
        }
        Ok(())
    }

    pub fn report(&self, bench: &StepBench, backend: &str) -> StepReport {
        let times = &self.times;
        let steady = milliseconds(&times.steady);
        let switching = milliseconds(&times.switching);
        let update = match times.whole.is_empty() {
            true => milliseconds(&times.update),
            false => milliseconds(&times.whole),
        };
        let tokens = (bench.batch_size * bench.sequence_length) as f64;
        let switched = times.switches.iter().sum::<usize>() as f64;
        StepReport {
            forward_ms: microseconds(milliseconds(&times.forward)),
            backward_ms: microseconds(milliseconds(&times.backward)),
            optimizer_ms: microseconds(steady),
            switch_ms: microseconds((switching - steady).max(0.0)),
            update_ms: microseconds(update),
            host_ms: microseconds(milliseconds(&times.queued)),
            tokens_per_second: (tokens / update.max(1e-6) * 1e3).round(),
            switches: switched / times.switches.len().max(1) as f64,
            ..StepReport::of(bench, backend, self.method)
        }
    }
}

/// The median, in milliseconds; 0 without times.
fn milliseconds(times: &[Duration]) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1e3)).unwrap_or_default()
}

/// Measures each phase, from the end of the phase before it until the device has finished its work.
struct Clock<'a, B: Backend> {
    device: &'a B::Device,
    since: Instant,
    /// Times of forward, backward and optimizer.
    laps: [Duration; 3],
}

impl<'a, B: Backend> Clock<'a, B> {
    fn start(device: &'a B::Device) -> Self {
        // A lost device gives an error at the next read.
        let _ = B::sync(device);
        Self {
            device,
            since: Instant::now(),
            laps: [Duration::ZERO; 3],
        }
    }
}

impl<B: AutodiffBackend> Observer<B> for Clock<'_, B> {
    fn phase(&mut self, phase: Phase) {
        let _ = B::sync(self.device);
        let now = Instant::now();
        let lap = match phase {
            Phase::Forward => 0,
            Phase::Backward | Phase::Exchange => 1,
            Phase::Optimizer => 2,
        };
        self.laps[lap] += now - std::mem::replace(&mut self.since, now);
    }
}
