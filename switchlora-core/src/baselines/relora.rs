//! ReLoRA (Lialin et al., [arXiv 2307.05695](https://arxiv.org/abs/2307.05695)): LoRA whose factors are merged into the
//! weight and start again every `cycle` updates, so that the changes of the cycles add up to one of higher rank.
//!
//! After the updates `cycle`, `2 cycle`, … (counted from 0): `W <- W + s AᵀB`, A uniform on `+-1/sqrt(n)`, `B <- 0`, and most
//! of the factors' moments become zero, so that the next cycle leaves the old subspace. The learning rate must be zero at
//! these updates and rise again over the next few, as in the authors' scheduler. Between two restarts it is LoRA.

use crate::config_error::{ConfigError, in_range, insist};
use crate::init::{Bounds, uniform};
use crate::layers::{Layers, LoraLayer};
use crate::optimizer::MethodOptimizer;
use crate::planner::{After, Planner, Update};
use crate::random::{Purpose, stream};
use crate::record::OptimizerRecord;
use crate::replay::{Recorded, Restart};
use crate::state_error::StateError;
use crate::step::{AdamW, Plan, Pools, RowPlan, StepCounts, WeightWrite};
use crate::switching::{SwitchLoraConfig, SwitchSchedule, Switching};
use burn::module::{AutodiffModule, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use serde::{Deserialize, Serialize};
use switchlora_ops::Moments;

/// When ReLoRA starts again, and what it keeps.
///
/// A restart follows the updates `cycle`, `2 cycle`, … (counted from 0). The learning rate that the optimizer is given must be
/// zero at these updates and rise again over the next few, as in the authors' scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReLoraConfig {
    /// Updates between two restarts, at least 1.
    pub cycle: u64,
    /// What happens to the factors' moments.
    pub reset: MomentReset,
    /// The share of entries of each moment that [`Random`](MomentReset::Random) and [`Magnitude`](MomentReset::Magnitude) keep.
    pub keep: f64,
    /// Whether the factors' step counts become zero too; the authors' program goes on counting.
    pub reset_counts: bool,
}

/// What happens to the factors' moments at a restart.
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

impl Default for ReLoraConfig {
    /// A restart every 5000 updates that keeps a thousandth of the moments at random, as the authors' program does.
    fn default() -> Self {
        Self {
            cycle: 5000,
            reset: MomentReset::default(),
            keep: 1e-3,
            reset_counts: false,
        }
    }
}

impl ReLoraConfig {
    /// The default with a restart every `cycle` updates.
    ///
    /// # Errors
    ///
    /// A cycle of 0.
    pub fn new(cycle: u64) -> Result<Self, ConfigError> {
        let config = Self {
            cycle,
            ..Self::default()
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

    /// Checks that a restart has moments to reset.
    ///
    /// # Errors
    ///
    /// The `layers` are trained by orthogonal steps.
    pub(crate) fn validate_layers(layers: &SwitchLoraConfig) -> Result<(), ConfigError> {
        match layers.orthogonal {
            None => Ok(()),
            Some(_) => Err(ConfigError::Together {
                setting: "orthogonal",
                with: "ReLoRA",
                reason: "a restart resets moments, and orthogonal steps have none",
            }),
        }
    }

    /// Whether the factors are merged after update `update`, counted from 0.
    pub fn restarts_after(&self, update: u64) -> bool {
        update > 0 && update.is_multiple_of(self.cycle)
    }

    /// The optimizer for layers of the given configuration, which never switch; put it inside a
    /// [`ClipGradNorm`](crate::ClipGradNorm).
    ///
    /// At a restart it waits for the device: moments are pruned on the host.
    ///
    /// # Panics
    ///
    /// If one of the two configurations is not valid; with the message of [`validate`](Self::validate).
    pub fn optimizer<M, B>(&self, layers: &SwitchLoraConfig) -> MethodOptimizer<M, B>
    where
        M: AutodiffModule<B>,
        B: AutodiffBackend,
    {
        MethodOptimizer::new(Box::new(ReLora::new(*self, layers, Recorded::default())))
    }

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
                // Equal values in the order of the matrix: the same on every machine.
                order.sort_by(|&i, &j| values[j].abs().total_cmp(&values[i].abs()));
                order.truncate((self.keep * values.len() as f64).ceil() as usize);
                keep_only(values, &order);
            }
        }
    }
}

/// Makes every value zero except those at the indices `kept`.
fn keep_only(values: &mut [f32], kept: &[usize]) {
    let old = values.to_vec();
    values.fill(0.0);
    for &index in kept.iter().filter(|&&index| index < old.len()) {
        values[index] = old[index];
    }
}

/// ReLoRA: LoRA with restarts.
#[derive(Clone, Debug)]
pub(crate) struct ReLora<B: Backend> {
    lora: Switching<B>,
    config: ReLoraConfig,
    recorded: Recorded,
}

impl<B: Backend> ReLora<B> {
    /// The method before its first update.
    pub fn new(config: ReLoraConfig, layers: &SwitchLoraConfig, recorded: Recorded) -> Self {
        insist("an optimizer", ReLoraConfig::validate_layers(layers));
        let layers = SwitchLoraConfig {
            schedule: SwitchSchedule::Never,
            ..layers.clone()
        };
        Self {
            lora: Switching::new(layers, None),
            config,
            recorded,
        }
    }

    /// The recorded restart of a layer after update `number`.
    fn restart(&self, path: &str, number: u64) -> Option<&Restart> {
        let restart = (number / self.config.cycle) as usize - 1;
        self.recorded.restarts.as_ref()?.get(restart)?.get(path)
    }

    /// Merges the factors of a layer, which start again.
    fn plan_restart(&self, layer: &LoraLayer<B>, after: &After<'_, B>) -> Plan<B> {
        let mut plan = Plan::default();
        let (number, index) = (after.number, after.index as u64);
        let (rank, [n, m]) = (layer.rank(), layer.shape());
        let device = layer.a.value.device();
        let layers = self.lora.config();
        let recorded = self.restart(&layer.path, number);
        let fresh = match recorded {
            Some(restart) => restart.a.clone(),
            None => {
                let random = &mut stream(layers.seed, Purpose::Restart, index, number);
                uniform(rank, n, Bounds::lora(n).a, random)
            }
        };
        let random = &mut stream(layers.seed, Purpose::Prune, index, number);
        let fresh = [
            Tensor::from_data(fresh, &device),
            Tensor::zeros([rank, m], &device),
        ];
        for (side, (id, vectors)) in [layer.a.id, layer.b.id].into_iter().zip(fresh).enumerate() {
            let rows: Vec<usize> = (0..rank).collect();
            let all_if = |reset: bool| if reset { rows.clone() } else { Vec::new() };
            let kept = recorded.map(|restart| &restart.kept[side]);
            let row_plan = RowPlan {
                zeroed_moments: all_if(self.config.reset == MomentReset::Zero),
                zeroed_counts: all_if(self.config.reset_counts),
                moments: self.pruned(id, after, kept, random),
                replaced: Some((rows, vectors)),
                counts: StepCounts::EachRow,
                ..RowPlan::default()
            };
            plan.rows.insert(id, row_plan);
        }
        let merged = WeightWrite::AddProduct {
            left: layer.a.value.clone(),
            right: layer.b.value.clone() * layer.scale,
        };
        plan.weights.insert(layer.weight.id, merged);
        plan
    }

    /// The moments of a factor with the entries that stay; `None` if they are not pruned.
    fn pruned(
        &self,
        id: ParamId,
        after: &After<'_, B>,
        kept: Option<&[Vec<usize>; 2]>,
        random: &mut impl Rng,
    ) -> Option<Moments<B>> {
        if self.config.reset == MomentReset::Zero {
            return None;
        }
        let moments = after.moments.get(&id)?;
        let mut pruned = |moment: &Tensor<B, 2>, number: usize| {
            let data = moment.to_data();
            let shape = data.shape.clone();
            let mut values: Vec<f32> = data.iter::<f32>().collect();
            match kept {
                Some(kept) => keep_only(&mut values, &kept[number]),
                None => self.config.prune(&mut values, random),
            }
            Tensor::from_data(TensorData::new(values, shape), &moment.device())
        };
        Some(Moments {
            first: pruned(&moments.first, 0),
            second: pruned(&moments.second, 1),
        })
    }
}

impl<B: Backend> Planner<B> for ReLora<B> {
    fn validate(&self) -> Result<(), ConfigError> {
        Planner::<B>::validate(&self.lora)?;
        self.config.validate()
    }

    fn factors(&self) -> Option<&SwitchLoraConfig> {
        self.lora.factors()
    }

    fn adamw(&self) -> AdamW {
        Planner::<B>::adamw(&self.lora)
    }

    fn prepare(
        &mut self,
        layers: &Layers<B>,
        pools: &mut Pools<B>,
    ) -> Result<Vec<String>, StateError> {
        self.lora.prepare(layers, pools)
    }

    fn is_final(&self, update: &Update<'_, B>) -> bool {
        self.config.restarts_after(update.number)
    }

    fn plan(
        &mut self,
        update: &Update<'_, B>,
        gradients: &mut GradientsParams,
        pools: &mut Pools<B>,
    ) -> Plan<B> {
        self.lora.plan(update, gradients, pools)
    }

    fn plan_after(&self, layer: &LoraLayer<B>, after: &After<'_, B>) -> Option<Plan<B>> {
        layer.trained.then(|| self.plan_restart(layer, after))
    }

    fn save(&self, pools: &Pools<B>, record: &mut OptimizerRecord) {
        self.lora.save(pools, record);
    }

    fn load(&mut self, record: OptimizerRecord, pools: &mut Pools<B>, device: &B::Device) {
        self.lora.load(record, pools, device);
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
