//! ReLoRA (Lialin et al., [arXiv 2307.05695](https://arxiv.org/abs/2307.05695)): LoRA whose factors are merged into the
//! weight and start again every `cycle` updates, so that the changes of the cycles add up to one of higher rank.
//!
//! After the updates `cycle`, `2 cycle`, … (counted from 0): `W <- W + s AᵀB`, A uniform on `+-1/sqrt(n)`, `B <- 0`, and most
//! of the factors' moments become zero, so that the next cycle leaves the old subspace. The learning rate is to be zero at
//! these updates and to rise again over the next few, as the authors' scheduler has it. Between two restarts it is LoRA: a
//! [`SwitchLora`] that never switches.

use super::adamw::RowPlan;
use super::clip::join;
use super::exchange::Absorbed;
use super::guard::{Guard, GuardedOptimizer};
use super::record::OptimizerRecord;
use super::switchlora::{SwitchLora, inner};
use super::update::{Planned, Update};
use crate::config::{ConfigError, SwitchLoraConfig, in_range};
use crate::init::{Bounds, uniform};
use crate::layers::{LoraLayer, lora_layers};
use crate::random::{Purpose, stream};
use crate::schedule::SwitchSchedule;
use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use switchlora_ops::Moments;

/// When ReLoRA starts again, and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReLoraConfig {
    /// Updates between two restarts, at least 1.
    pub cycle: u64,
    /// What becomes of the factors' moments.
    pub reset: MomentReset,
    /// The share of entries of each moment that [`Random`](MomentReset::Random) and [`Magnitude`](MomentReset::Magnitude) keep.
    pub keep: f64,
    /// Whether the factors' step counts become zero too; the authors' program goes on counting.
    pub reset_counts: bool,
}

/// What becomes of the factors' moments at a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentReset {
    /// All become zero.
    Zero,
    /// A share of the entries, chosen at random for each moment, stays.
    #[default]
    Random,
    /// The share of the entries with the largest absolute values stays.
    Magnitude,
}

impl ReLoraConfig {
    /// A restart every `cycle` updates that keeps a thousandth of the moments at random, as the authors' program does.
    ///
    /// # Errors
    ///
    /// A cycle of 0.
    pub fn new(cycle: u64) -> Result<Self, ConfigError> {
        let config = Self {
            cycle,
            reset: MomentReset::default(),
            keep: 1e-3,
            reset_counts: false,
        };
        config.validate().map(|()| config)
    }

    /// Checks every field, as after reading a configuration from a file.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let cycle = self.cycle;
        in_range("cycle", cycle as f64, cycle > 0, "at least 1 update")?;
        let share = (0.0..=1.0).contains(&self.keep);
        in_range("keep", self.keep, share, "0 to 1")
    }

    /// Whether the factors are merged after update `update`, counted from 0.
    pub fn restarts_after(&self, update: u64) -> bool {
        update > 0 && update.is_multiple_of(self.cycle)
    }
}

/// What one layer starts again with, recorded from another program's run.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedRestart {
    /// The new A, `[rank, d_input]`.
    pub a: TensorData,
    /// Entries of A's first and second moment that stay, counted through `[rank, d_input]` row by row.
    pub kept_a: [Vec<usize>; 2],
    /// The same for B, through `[rank, d_output]`.
    pub kept_b: [Vec<usize>; 2],
}

/// Where the new factors, and the entries of moments that stay, come from.
#[derive(Clone, Debug, Default)]
pub enum Restarts {
    /// From the seed, the layer and the update.
    #[default]
    Seeded,
    /// Given, `[restart][path of the layer]`, to replay another program's run; seeded where there is none.
    Recorded(Arc<Vec<BTreeMap<String, RecordedRestart>>>),
}

/// ReLoRA's optimizer. Created by [`SwitchLoraConfig::relora`]; put it inside a [`ClipGradNorm`](super::ClipGradNorm).
///
/// At a restart it waits for the device: moments are pruned on the host.
#[derive(Clone, Debug)]
pub struct ReLora<M, B: AutodiffBackend> {
    inner: SwitchLora<M, B>,
    config: ReLoraConfig,
    restarts: Restarts,
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> ReLora<M, B> {
    pub(crate) fn new(layers: SwitchLoraConfig, config: ReLoraConfig) -> Self {
        let layers = SwitchLoraConfig {
            schedule: SwitchSchedule::Never,
            ..layers
        };
        Self {
            inner: SwitchLora::new(layers),
            config,
            restarts: Restarts::default(),
        }
    }

    /// Takes what the layers start again with from elsewhere.
    pub fn with_restarts(mut self, restarts: Restarts) -> Self {
        self.restarts = restarts;
        self
    }

    /// Updates that happened; waits for the last decision.
    pub fn updates(&self) -> u64 {
        self.inner.updates()
    }

    /// Restarts that happened; waits for the last decision.
    pub fn merges(&self) -> u64 {
        self.updates().saturating_sub(1) / self.config.cycle
    }

    /// Merges the factors of every layer and starts them again, after update `update`.
    fn restart(&mut self, module: M, update: u64) -> M {
        let mut planned = Planned::default();
        let layers: Vec<_> = lora_layers::<B, M>(&module)
            .into_iter()
            .map(inner)
            .collect();
        for (index, layer) in layers.into_iter().enumerate() {
            self.prune(index as u64, &layer, update);
            self.plan(index as u64, layer, update, &mut planned);
        }
        module.map(&mut Update::<B> {
            adamw: self.inner.adamw(),
            learning_rate: 0.0,
            gradients: GradientsParams::new(),
            planned,
            guard: Guard::open(),
            moments: &mut self.inner.moments,
            counts: &mut self.inner.host.counts,
        })
    }

    fn recorded(&self, path: &str, update: u64) -> Option<&RecordedRestart> {
        let Restarts::Recorded(restarts) = &self.restarts else {
            return None;
        };
        let number = (update / self.config.cycle) as usize - 1;
        restarts.get(number)?.get(path)
    }

    /// What the weight of a layer absorbs, and its new factors.
    fn plan(
        &self,
        index: u64,
        layer: LoraLayer<B::InnerBackend>,
        update: u64,
        planned: &mut Planned<B::InnerBackend>,
    ) {
        let (rank, [n, m]) = (layer.rank(), layer.shape());
        let device = layer.a.1.device();
        let config = self.inner.config();
        let fresh = match self.recorded(&layer.path, update) {
            Some(recorded) => recorded.a.clone(),
            None => {
                let random = &mut stream(config.seed, Purpose::Restart, index, update);
                uniform(rank, n, Bounds::lora(n).a, random)
            }
        };
        let rows: Vec<usize> = (0..rank).collect();
        let reset = match self.config.reset {
            MomentReset::Zero => rows.clone(),
            MomentReset::Random | MomentReset::Magnitude => Vec::new(),
        };
        let plan = |vectors| RowPlan {
            replaced: Some((rows.clone(), vectors)),
            reset: reset.clone(),
            ..RowPlan::default()
        };
        let a = plan(Tensor::from_data(fresh, &device));
        let b = plan(Tensor::zeros([rank, m], &device));
        planned.rows.insert(layer.a.0, a);
        planned.rows.insert(layer.b.0, b);
        let absorbed = Absorbed {
            left: layer.a.1,
            right: layer.b.1 * (config.alpha / rank as f64),
            remaining: 1.0,
        };
        planned.weights.insert(layer.weight.0, absorbed);
    }

    /// Leaves of the moments of a layer's factors what is to stay.
    fn prune(&mut self, index: u64, layer: &LoraLayer<B::InnerBackend>, update: u64) {
        let kept = self.recorded(&layer.path, update);
        let kept = kept.map(|recorded| [recorded.kept_a.clone(), recorded.kept_b.clone()]);
        let seed = self.inner.config().seed;
        let random = &mut stream(seed, Purpose::Prune, index, update);
        for (side, id) in [layer.a.0, layer.b.0].into_iter().enumerate() {
            if self.config.reset_counts
                && let Some(counts) = self.inner.host.counts.get_mut(&id)
            {
                counts.fill(0);
            }
            if self.config.reset == MomentReset::Zero {
                continue;
            }
            let Some(moments) = self.inner.moments.remove(&id) else {
                continue;
            };
            let config = self.config;
            let mut pruned = |tensor: Tensor<B::InnerBackend, 2>, second: usize| {
                let device = tensor.device();
                let data = tensor.into_data();
                let shape = data.shape.clone();
                let mut values: Vec<f32> = data.iter::<f32>().collect();
                match &kept {
                    Some(kept) => keep_only(&mut values, &kept[side][second]),
                    None => config.prune(&mut values, random),
                }
                Tensor::from_data(TensorData::new(values, shape), &device)
            };
            let moments = Moments {
                first: pruned(moments.first, 0),
                second: pruned(moments.second, 1),
            };
            self.inner.moments.insert(id, moments);
        }
    }
}

impl ReLoraConfig {
    fn prune(&self, values: &mut [f32], random: &mut impl Rng) {
        match self.reset {
            MomentReset::Zero => values.fill(0.0),
            MomentReset::Random => {
                for value in values {
                    if random.random::<f64>() >= self.keep {
                        *value = 0.0;
                    }
                }
            }
            MomentReset::Magnitude => {
                let mut order: Vec<usize> = (0..values.len()).collect();
                // Equal ones in the order of the matrix: the same on every machine.
                order.sort_by(|&i, &j| values[j].abs().total_cmp(&values[i].abs()));
                order.truncate((self.keep * values.len() as f64).ceil() as usize);
                keep_only(values, &order);
            }
        }
    }
}

/// Makes every value zero but those at `kept`.
fn keep_only(values: &mut [f32], kept: &[usize]) {
    let old = values.to_vec();
    values.fill(0.0);
    for &index in kept.iter().filter(|&&index| index < old.len()) {
        values[index] = old[index];
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> GuardedOptimizer<M, B> for ReLora<M, B> {
    fn step_guarded(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
    ) -> M {
        let update = self.inner.updates();
        let restarts = self.config.restarts_after(update);
        // A merge cannot be taken back, so here, once in a cycle, the decision is waited for.
        let accepted = !restarts || guard.accepted();
        let module = self
            .inner
            .step_guarded(learning_rate, module, gradients, guard);
        match restarts && accepted {
            true => self.restart(module, update),
            false => module,
        }
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for ReLora<M, B> {
    type Record = OptimizerRecord;

    fn step(&mut self, learning_rate: LearningRate, module: M, gradients: GradientsParams) -> M {
        self.step_guarded(learning_rate, module, gradients, Guard::open())
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        let gradients = join(&module, gradients);
        self.step(lr, module, gradients)
    }

    fn to_record(&self) -> OptimizerRecord {
        self.inner.to_record()
    }

    /// The tensors go to the device of the module with the next update.
    fn load_record(mut self, record: OptimizerRecord) -> Self {
        self.inner = self.inner.load_record(record);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_keeps_the_share_that_was_asked_for() {
        let mut config = ReLoraConfig::new(10).unwrap();
        let random = &mut stream(1, Purpose::Prune, 0, 0);
        let values: Vec<f32> = (0..10_000).map(|i| (i as f32 - 4_999.5) / 100.0).collect();
        let prune = |config: ReLoraConfig, random: &mut _| {
            let mut pruned = values.clone();
            config.prune(&mut pruned, random);
            let kept = pruned.iter().zip(&values).filter(|(p, v)| p == v).count();
            assert!(pruned.iter().zip(&values).all(|(p, v)| p == v || *p == 0.0));
            (kept, pruned)
        };
        (config.reset, config.keep) = (MomentReset::Random, 0.1);
        // Binomial: its deviation is 30.
        assert!(prune(config, random).0.abs_diff(1000) < 150);
        config.reset = MomentReset::Magnitude;
        let (kept, pruned) = prune(config, random);
        assert_eq!(kept, 1000);
        assert!(pruned.iter().all(|v| *v == 0.0 || v.abs() > 44.9));
        config.reset = MomentReset::Zero;
        assert_eq!(prune(config, random).0, 0);
    }

    #[test]
    fn the_factors_are_merged_after_update_20_for_a_cycle_of_20_and_after_every_one_for_1() {
        let after = |cycle| {
            let config = ReLoraConfig::new(cycle).unwrap();
            let due = (0..45).filter(move |&update| config.restarts_after(update));
            due.collect::<Vec<_>>()
        };
        assert_eq!(after(20), [20, 40]);
        assert_eq!(after(1), (1..45).collect::<Vec<_>>());
        assert!(ReLoraConfig::new(0).is_err());
    }
}
