//! One method at its turn: a model, its optimizers and the times of their phases.

use super::method::{algorithm, configs};
use super::report::{StepReport, microseconds};
use super::{LEARNING_RATE, StepBench, StepError, median};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor};
use std::time::{Duration, Instant};
use switchlora_core::{ClipGradNorm, MethodOptimizer, SwitchLoraConfig};
use switchlora_ops::in_pool;
use switchlora_train::experiment::Method;
use switchlora_train::model::LlamaForCausalLm;

const MAX_NORM: f64 = 1.0;

type Model<B> = LlamaForCausalLm<B>;
type Optimized<B> = ClipGradNorm<MethodOptimizer<Model<B>, B>>;

/// One method at its turn.
pub(super) struct Lane<B: AutodiffBackend> {
    method: Method,
    /// None only while an update has it.
    model: Option<Model<B>>,
    steady: Optimized<B>,
    switching: Option<Optimized<B>>,
    device: B::Device,
    times: Times,
}

/// The times of each phase, one entry an update.
#[derive(Default)]
struct Times {
    forward: Vec<Duration>,
    backward: Vec<Duration>,
    /// Optimizer without switches.
    steady: Vec<Duration>,
    /// Optimizer with switches.
    switching: Vec<Duration>,
    /// Whole updates, of those that switch if any do.
    update: Vec<Duration>,
    /// Vectors switched in each of them.
    switches: Vec<usize>,
}

impl<B: AutodiffBackend> Lane<B> {
    pub fn new(method: Method, bench: &StepBench, device: &B::Device) -> Result<Self, StepError> {
        let (steady, switching) = configs(method, bench.rank)?;
        let steady = SwitchLoraConfig {
            factors: method.factors(),
            precision: bench.precision,
            frozen: bench.frozen,
            ..steady
        };
        let model = Model::new(&bench.config, &steady, bench.seed, device);
        let algorithm = algorithm(method, bench.rank)?;
        let optimizer = |config| ClipGradNorm::new(MAX_NORM, algorithm.optimizer(config));
        Ok(Self {
            method,
            model: Some(model),
            steady: optimizer(&steady),
            switching: switching.as_ref().map(optimizer),
            device: device.clone(),
            times: Times::default(),
        })
    }

    /// Forgets the times so far.
    pub fn forget(&mut self) {
        self.times = Times::default();
    }

    /// One update with each optimizer.
    pub fn round(&mut self, [inputs, targets]: &[Tensor<B, 2, Int>; 2]) {
        for switches in [false, true] {
            let optimizer = match (switches, &mut self.switching) {
                (false, _) => &mut self.steady,
                (true, Some(switching)) => switching,
                (true, None) => continue,
            };
            let Some(model) = self.model.take() else {
                continue;
            };
            let mut clock = Clock::<B>::start(&self.device);
            let (inputs, targets) = (inputs.clone(), targets.clone());
            let (model, loss) = in_pool::<B, _>(move || {
                let loss = model.loss(inputs, targets);
                (model, loss)
            });
            let forward = clock.lap();
            let (model, gradients) = in_pool::<B, _>(move || {
                let gradients = GradientsParams::from_grads(loss.backward(), &model);
                (model, gradients)
            });
            let backward = clock.lap();
            self.model = Some(optimizer.step(LEARNING_RATE, model, gradients));
            let optimized = clock.lap();

            let times = &mut self.times;
            times.forward.push(forward);
            times.backward.push(backward);
            match switches {
                true => times.switching.push(optimized),
                false => times.steady.push(optimized),
            }
            let last = switches || self.switching.is_none();
            if last {
                times.update.push(forward + backward + optimized);
            }
            if let (true, Some(switching)) = (switches, &self.switching) {
                times.switches.push(switching.inner().last_switch_count());
            }
        }
    }

    pub fn report(&self, bench: &StepBench, backend: &str) -> StepReport {
        let times = &self.times;
        let steady = milliseconds(&times.steady);
        let switching = milliseconds(&times.switching);
        let update = milliseconds(&times.update);
        let tokens = (bench.batch_size * bench.sequence_length) as f64;
        let switched = times.switches.iter().sum::<usize>() as f64;
        StepReport {
            forward_ms: microseconds(milliseconds(&times.forward)),
            backward_ms: microseconds(milliseconds(&times.backward)),
            optimizer_ms: microseconds(steady),
            switch_ms: microseconds((switching - steady).max(0.0)),
            update_ms: microseconds(update),
            tokens_per_second: (tokens / update.max(1e-6) * 1e3).round(),
            switches: switched / times.switches.len().max(1) as f64,
            ..StepReport::of(bench, backend, self.method)
        }
    }
}

/// The median, in milliseconds.
fn milliseconds(times: &[Duration]) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1e3))
}

/// Measures from one end of the device's work to the next.
struct Clock<'a, B: Backend> {
    device: &'a B::Device,
    since: Instant,
}

impl<'a, B: Backend> Clock<'a, B> {
    fn start(device: &'a B::Device) -> Self {
        let mut clock = Self {
            device,
            since: Instant::now(),
        };
        clock.lap();
        clock
    }

    fn lap(&mut self) -> Duration {
        // A device that is lost says so at the next read.
        let _ = B::sync(self.device);
        let now = Instant::now();
        now - std::mem::replace(&mut self.since, now)
    }
}
