//! One update of SwitchLoRA: switch, reset, freeze (Section 3, Algorithm 1); AdamW follows.
//!
//! Counts, positions, freezes and choices live on the host and follow from `(seed, layer, update)` alone, so every replica
//! of a data-parallel run switches alike without a message.

use super::candidates;
use super::config::SwitchLoraConfig;
use super::exchange::exchange;
use super::gain;
use super::owner::{Owner, origins};
use super::remarks::remarks;
use super::walk::{Choice, LayerSwitch, Selection};
use crate::config_error::{ConfigError, named};
use crate::layers::Layers;
use crate::optimizer::MethodOptimizer;
use crate::planner::{Kept, Planner, Update};
use crate::random::{Purpose, stream};
use crate::record::{LayerRecord, LayerState, OptimizerRecord, SideState};
use crate::state_error::StateError;
use crate::step::{
    AdamW, BiasCorrection, Plan, Pool, Pools, RowPlan, RowWarmup, StepCounts, Velocities,
};
use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use rand::Rng;
use std::sync::Arc;

/// SwitchLoRA; LoRA if it never switches; AdamW on a module without factors.
#[derive(Clone, Debug)]
pub(crate) struct Switching<B: Backend> {
    config: SwitchLoraConfig,
    /// Of the factors, where their steps are orthogonal.
    velocities: Option<Velocities<B>>,
    /// Uniform draws that round the number of switches, `[update][layer]`, recorded from another run; else from the seed.
    draws: Option<Arc<Vec<Vec<f64>>>>,
    /// Path and state of each layer with factors.
    layers: Vec<(String, LayerState)>,
    /// The layer that each of these states belongs to; `None` as long as that is known by path only, from a record.
    owners: Option<Vec<Owner>>,
    /// What the last update exchanged.
    last: Vec<LayerSwitch>,
}

impl<B: Backend> Switching<B> {
    /// The method before its first update.
    pub fn new(config: SwitchLoraConfig, draws: Option<Arc<Vec<Vec<f64>>>>) -> Self {
        Self {
            velocities: config.orthogonal.map(Velocities::new),
            config,
            draws,
            layers: Vec::new(),
            owners: None,
            last: Vec::new(),
        }
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &SwitchLoraConfig {
        &self.config
    }

    /// Decides how many and which vectors each layer exchanges at an update. A layer that is not trained stays as it is.
    fn decide(&mut self, update: &Update<'_, B>) {
        let (config, number) = (&self.config, update.number);
        let orders = match config.selection {
            Selection::Gain => gain::orders(update, &config.adamw),
            Selection::Contiguous | Selection::Random => Vec::new(),
        };
        let trained = update.layers.lora.iter().map(|layer| layer.trained);
        let layers = self.layers.iter_mut().zip(trained);
        self.last.clear();
        for (index, ((path, state), trained)) in layers.enumerate() {
            let layer = index as u64;
            let draw = match &self.draws {
                None => stream(config.seed, Purpose::Draw, layer, number).random(),
                // 1 never rounds up.
                Some(draws) => *draws
                    .get(number as usize)
                    .and_then(|draws| draws.get(index))
                    .unwrap_or(&1.0),
            };
            let rank = state.a.live.len();
            let count = match trained {
                true => config.schedule.switches(number, rank, draw),
                false => 0,
            };
            let choice = match config.selection {
                Selection::Contiguous => Choice::Contiguous,
                Selection::Gain => Choice::Ordered(&orders[index]),
                Selection::Random => Choice::Random {
                    seed: config.seed,
                    layer,
                    update: number,
                },
            };
            let (a, b) = match count {
                0 => Default::default(),
                _ => state.switch(count, config.freeze, choice, config.sides),
            };
            self.last.push(LayerSwitch {
                path: path.clone(),
                count: a.rows.len().max(b.rows.len()),
                a,
                b,
            });
        }
    }

    /// Adds the update of layer number `index` to `plan`.
    fn plan_layer(
        &mut self,
        index: usize,
        update: &Update<'_, B>,
        gradients: &mut GradientsParams,
        pools: &mut Pools<B>,
        plan: &mut Plan<B>,
    ) {
        let layer = &update.layers.lora[index];
        let (state, switch) = (&self.layers[index].1, &self.last[index]);
        // The counterpart of a switched vector has moments that belong to another direction.
        let mut a = self.row_plan(&state.a, &switch.b.rows, update.number);
        let mut b = self.row_plan(&state.b, &switch.a.rows, update.number);
        let pools = pools.layer(index);
        let has_candidates = pools.is_some() || !self.config.candidates.has_pools();
        if has_candidates && switch.count > 0 {
            let made = candidates::made(&self.config, index, switch, update);
            let writes = exchange(index, layer, switch, pools, made);
            plan.weights.insert(layer.weight.id, writes.weight);
            plan.pools.extend(writes.pools);
            (a.replaced, b.replaced) = (writes.a, writes.b);
        }
        if let Some(velocities) = &mut self.velocities {
            for (id, rows) in [(layer.a.id, &mut a), (layer.b.id, &mut b)] {
                let stale = [&rows.zeroed_moments[..], &rows.zeroed_first].concat();
                rows.step = match gradients.remove::<B, 2>(id) {
                    Some(gradient) => Some(velocities.step(id, gradient, &stale, &rows.frozen)),
                    None => {
                        velocities.reset(id, &stale);
                        None
                    }
                };
            }
        }
        plan.rows.insert(layer.a.id, a);
        plan.rows.insert(layer.b.id, b);
    }

    /// Which rows of one side are frozen, and which are reset because their counterparts are switched, in update
    /// `number`.
    fn row_plan(&self, side: &SideState, stale: &[usize], number: u64) -> RowPlan<B> {
        let config = &self.config;
        let reset = |wanted: bool| if wanted { stale.to_vec() } else { Vec::new() };
        let kept = config.keep_second_moments;
        RowPlan {
            zeroed_moments: reset(config.reset_moments && !kept),
            zeroed_first: reset(config.reset_moments && kept),
            zeroed_counts: reset(config.reset_counts && !kept),
            warmup: (config.warmup > 0).then_some(RowWarmup {
                updates: config.warmup,
                oldest: number + 1,
            }),
            frozen: side.frozen_rows().collect(),
            // Where nothing switches, all rows count alike, as in any AdamW.
            counts: match config.schedule.interval() {
                Some(_) => StepCounts::EachRowF32,
                None => StepCounts::EachRow,
            },
            ..RowPlan::default()
        }
    }
}

impl<B: Backend> Planner<B> for Switching<B> {
    fn validate(&self) -> Result<(), ConfigError> {
        self.config.validate()
    }

    fn factors(&self) -> Option<&SwitchLoraConfig> {
        // Without a rank only a rule gives one, to weights that are to switch.
        let has = self.config.rank.is_some() || self.config.schedule.interval().is_some();
        has.then_some(&self.config)
    }

    fn keeps(&self, kind: Kept) -> bool {
        kind == Kept::Velocities && self.velocities.is_some()
    }

    fn adamw(&self) -> AdamW {
        AdamW {
            config: self.config.adamw,
            bias_correction: BiasCorrection::All,
        }
    }

    fn prepare(
        &mut self,
        layers: &Layers<B>,
        pools: &mut Pools<B>,
    ) -> Result<Vec<String>, StateError> {
        let owners: Vec<Owner> = layers.lora.iter().map(Owner::of).collect();
        if self.owners.as_ref() == Some(&owners) {
            return Ok(Vec::new());
        }
        let switches = self.config.schedule.interval().is_some();
        let origins = origins(self.owners.as_deref(), &self.layers, layers, pools)?;
        for (layer, origin) in layers.lora.iter().zip(&origins) {
            let (rank, shape) = (layer.rank(), layer.size());
            if switches && origin.is_none() && rank >= shape.shorter_side() {
                let layer = named(&layer.path);
                return Err(ConfigError::NothingToSwitch { layer, rank, shape }.into());
            }
        }
        if let Some(velocities) = &self.velocities {
            for layer in &layers.lora {
                for matrix in [&layer.a, &layer.b] {
                    velocities.check(&layer.path, matrix.id, matrix.value.dims())?;
                }
            }
        }
        let begun = self.owners.is_some();
        let remarks = remarks(&self.config, layers, begun.then_some(&origins[..]));
        let mut states: Vec<_> = std::mem::take(&mut self.layers)
            .into_iter()
            .map(|(_, state)| Some(state))
            .collect();
        let mut old = std::mem::take(pools);
        for ((index, layer), origin) in layers.lora.iter().enumerate().zip(origins) {
            let state = origin.and_then(|origin| states[origin].take());
            let state = state.unwrap_or_else(|| {
                let [n, m] = layer.shape();
                LayerState::new(n, m, layer.rank())
            });
            let spare = state.a.spare.len();
            // A record has none if it was saved while nothing switched.
            let pool = origin.and_then(|origin| old.take(origin));
            let has_pools = self.config.candidates.has_pools();
            let draws = pool.is_none() && has_pools && switches && spare > 0;
            let drawn = draws.then(|| candidates::draw(&self.config, index, layer, spare));
            pools.push(pool.or(drawn));
            self.layers.push((layer.path.clone(), state));
        }
        self.owners = Some(owners);
        Ok(remarks)
    }

    fn plan(
        &mut self,
        update: &Update<'_, B>,
        gradients: &mut GradientsParams,
        pools: &mut Pools<B>,
    ) -> Plan<B> {
        self.decide(update);
        let mut plan = Plan::default();
        for index in 0..update.layers.lora.len() {
            self.plan_layer(index, update, gradients, pools, &mut plan);
        }
        for (_, state) in &mut self.layers {
            state.a.tick();
            state.b.tick();
        }
        plan
    }

    fn save(&self, pools: &Pools<B>, record: &mut OptimizerRecord) {
        let layers = self.layers.iter().enumerate();
        let layers = layers.map(|(index, (path, state))| {
            let (a, b) = pools.to_held(index).map(Into::into).unzip();
            LayerRecord::new(path.clone(), state.clone(), [a, b])
        });
        record.layers = layers.collect();
        if let Some(velocities) = &self.velocities {
            record.velocities = velocities.save();
        }
    }

    fn load(&mut self, record: OptimizerRecord, pools: &mut Pools<B>, device: &B::Device) {
        if let Some(velocities) = &mut self.velocities {
            velocities.load(record.velocities, device);
        }
        for layer in record.layers {
            let (path, state, [a, b]) = layer.into_parts();
            let SwitchLoraConfig {
                pools: placement,
                pool_precision,
                candidates,
                ..
            } = self.config;
            let pool = |vectors| Pool::new(vectors, placement, pool_precision, device);
            let held = a.zip(b).filter(|_| candidates.has_pools());
            pools.push(held.map(|(a, b)| [pool(a), pool(b)]));
            self.layers.push((path, state));
        }
    }
}

impl SwitchLoraConfig {
    /// The optimizer of this method; put it inside a [`ClipGradNorm`](crate::ClipGradNorm).
    ///
    /// # Panics
    ///
    /// If the configuration is not valid; with the message of [`validate`](Self::validate).
    pub fn optimizer<M: AutodiffModule<B>, B: AutodiffBackend>(&self) -> MethodOptimizer<M, B> {
        MethodOptimizer::new(Box::new(Switching::new(self.clone(), None)))
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> MethodOptimizer<M, B> {
    /// Path, slots, freezes and walk of each layer with factors; waits for the last decision. Empty before the first
    /// update, unless [`prepare`](Self::prepare) came before, and for a method that has no factors of its own.
    pub fn layer_states(&self) -> &[(String, LayerState)] {
        self.settled::<Switching<B::InnerBackend>>()
            .map_or(&[], |method| &method.layers)
    }

    /// The exchanges of the last update, layer by layer.
    pub fn last_switches(&self) -> &[LayerSwitch] {
        self.last::<Switching<B::InnerBackend>>()
            .map_or(&[], |method| &method.last)
    }

    /// Number of vectors exchanged at the last update, both sides of all layers together.
    pub fn last_switch_count(&self) -> usize {
        let rows = |layer: &LayerSwitch| layer.a.rows.len() + layer.b.rows.len();
        self.last_switches().iter().map(rows).sum()
    }
}
