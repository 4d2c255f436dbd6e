//! The method in one optimizer: switch, reset, freeze, AdamW (Section 3, Algorithm 1).
//!
//! It owns what is only needed in training (moments, step counts, candidates) and receives the module by value, so it
//! works in burn-train's `Learner`, in a hand-written loop, and on any module with
//! [`SwitchLoraLinear`](crate::SwitchLoraLinear) fields. Without such a field it is AdamW. Counts, positions, freezes and
//! choices live on the host and follow from `(seed, layer, update)`; no update reads from the device.

use super::adamw::{AdamW, BiasCorrection, RowPlan};
use super::clip::join;
use super::exchange::{Leaving, Pools};
use super::guard::{Guard, GuardedOptimizer};
use super::host::Undecided;
use super::record::{LayerRecord, OptimizerRecord, load_moments, read_moments};
use super::update::{Planned, Update};
use crate::candidates::Candidates;
use crate::config::SwitchLoraConfig;
use crate::init::{Bounds, uniform};
use crate::layers::{LoraLayer, lora_layers};
use crate::linear::FactorInit;
use crate::random::{Purpose, stream};
use crate::switch::{Choice, LayerState, LayerSwitch, Selection};
use burn::module::{AutodiffModule, ParamId};
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use hashbrown::HashMap;
use rand::Rng;
use std::marker::PhantomData;
use std::sync::Arc;
use switchlora_ops::Moments;

/// Where the uniform draws that round the number of switches come from.
#[derive(Clone, Debug, Default)]
pub enum Draws {
    /// From the seed, the layer and the update.
    #[default]
    Seeded,
    /// Given, `[update][layer]`, to replay another program's run; 1 (never round up) where there is none.
    Recorded(Arc<Vec<Vec<f64>>>),
}

/// SwitchLoRA's optimizer. Created by [`SwitchLoraConfig::optimizer`]; put it inside a [`ClipGradNorm`](super::ClipGradNorm).
#[derive(Clone, Debug)]
pub struct SwitchLora<M, B: AutodiffBackend> {
    config: SwitchLoraConfig,
    draws: Draws,
    pub(super) host: Undecided<HostState>,
    pub(super) moments: HashMap<ParamId, Moments<B::InnerBackend>>,
    pools: Vec<Option<Pools<B::InnerBackend>>>,
    last: Vec<LayerSwitch>,
    restored: Option<OptimizerRecord>,
    module: PhantomData<M>,
}

/// What follows from the updates that happened and lives on the host.
#[derive(Clone, Debug, Default)]
pub(super) struct HostState {
    pub updates: u64,
    layers: Vec<(String, LayerState)>,
    pub counts: HashMap<ParamId, Vec<u32>>,
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> SwitchLora<M, B> {
    pub(crate) fn new(config: SwitchLoraConfig) -> Self {
        Self {
            config,
            draws: Draws::default(),
            host: Undecided::default(),
            moments: HashMap::new(),
            pools: Vec::new(),
            last: Vec::new(),
            restored: None,
            module: PhantomData,
        }
    }

    /// Takes the draws from elsewhere.
    pub fn with_draws(mut self, draws: Draws) -> Self {
        self.draws = draws;
        self
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &SwitchLoraConfig {
        &self.config
    }

    /// Updates that happened; waits for the last decision.
    pub fn updates(&self) -> u64 {
        match &self.restored {
            Some(record) => record.updates,
            None => self.host.settled().updates,
        }
    }

    /// Path, slots, freezes and walk of each layer with factors; waits for the last decision. Empty before the first
    /// update, unless [`prepare`](Self::prepare) came before.
    pub fn layer_states(&self) -> &[(String, LayerState)] {
        &self.host.settled().layers
    }

    /// What the last update exchanged, layer by layer.
    pub fn last_switches(&self) -> &[LayerSwitch] {
        &self.last
    }

    /// Vectors exchanged at the last update, both sides of all layers together.
    pub fn last_switch_count(&self) -> usize {
        let rows = |layer: &LayerSwitch| layer.a.rows.len() + layer.b.rows.len();
        self.last.iter().map(rows).sum()
    }

    /// Finds the layers of `module` and draws their candidates, which the first update otherwise does.
    ///
    /// # Panics
    ///
    /// If the layers are not those that the state (of a record, or of earlier updates) belongs to.
    pub fn prepare(&mut self, module: &M) {
        self.layers(module);
    }

    pub(super) fn adamw(&self) -> AdamW {
        let config = &self.config;
        AdamW {
            beta_1: config.beta_1,
            beta_2: config.beta_2,
            epsilon: config.epsilon,
            weight_decay: config.weight_decay,
            bias_correction: BiasCorrection::All,
        }
    }

    /// The layers of the module, with the state of each made if there is none yet.
    pub(super) fn layers(&mut self, module: &M) -> Vec<LoraLayer<B::InnerBackend>> {
        if let Some(record) = self.restored.take() {
            let devices = module.devices();
            self.restore(record, &devices.into_iter().next().unwrap_or_default());
        }
        let layers: Vec<_> = lora_layers::<B, M>(module).into_iter().map(inner).collect();
        if self.host.layers.is_empty() {
            for (index, layer) in layers.iter().enumerate() {
                let [n, m] = layer.shape();
                let state = LayerState::new(n, m, layer.rank());
                self.pools.push(self.draw_pools(index, layer, &state));
                self.host.layers.push((layer.path.clone(), state));
            }
        }
        let known = self
            .host
            .layers
            .iter()
            .map(|(path, state)| (path, state.a.live.len()));
        assert!(
            known.eq(layers.iter().map(|layer| (&layer.path, layer.rank()))),
            "the optimizer's state belongs to a module with other SwitchLoRA layers",
        );
        layers
    }

    fn restore(&mut self, record: OptimizerRecord, device: &B::Device) {
        self.host.updates = record.updates;
        (self.moments, self.host.counts) = load_moments(record.moments, device);
        for layer in record.layers {
            let pool = |rows| Candidates::new(rows, self.config.pools, device);
            let pools = layer.candidates_a.zip(layer.candidates_b);
            self.pools.push(pools.map(|(a, b)| Pools {
                a: pool(a),
                b: pool(b),
            }));
            self.host.layers.push((layer.path, layer.state));
        }
    }

    fn draw_pools(
        &self,
        index: usize,
        layer: &LoraLayer<B::InnerBackend>,
        state: &LayerState,
    ) -> Option<Pools<B::InnerBackend>> {
        let spare = state.a.spare.len();
        if spare == 0 || self.config.schedule.interval().is_none() {
            return None;
        }
        let [n, m] = layer.shape();
        let bounds = match self.config.factors {
            FactorInit::SwitchLora => Bounds::new(n, m, layer.rank()),
            FactorInit::Lora => Bounds::lora(n),
        };
        let device = layer.a.1.device();
        let draw = |purpose, length, bound| {
            let rng = &mut stream(self.config.seed, purpose, index as u64, 0);
            Candidates::new(
                uniform(spare, length, bound, rng),
                self.config.pools,
                &device,
            )
        };
        Some(Pools {
            a: draw(Purpose::CandidatesA, n, bounds.a),
            b: draw(Purpose::CandidatesB, m, bounds.b),
        })
    }

    fn draw(&self, layer: usize) -> f64 {
        let update = self.host.updates;
        match &self.draws {
            Draws::Seeded => stream(self.config.seed, Purpose::Draw, layer as u64, update).random(),
            Draws::Recorded(draws) => {
                let draw = draws
                    .get(update as usize)
                    .and_then(|draws| draws.get(layer));
                draw.copied().unwrap_or(1.0)
            }
        }
    }

    /// Decides, on the host, what each layer exchanges at this update.
    fn decide(&mut self) {
        let update = self.host.updates;
        self.last.clear();
        for layer in 0..self.host.layers.len() {
            let draw = self.draw(layer);
            let (path, state) = &mut self.host.layers[layer];
            let choice = match self.config.selection {
                Selection::Contiguous => Choice::Contiguous,
                Selection::Random => Choice::Random {
                    seed: self.config.seed,
                    layer: layer as u64,
                    update,
                },
            };
            let count = self
                .config
                .schedule
                .switches(update, state.a.live.len(), draw);
            let (a, b) = match count {
                0 => Default::default(),
                _ => state.switch(count, self.config.freeze, choice, self.config.sides),
            };
            self.last.push(LayerSwitch {
                path: path.clone(),
                count: a.rows.len().max(b.rows.len()),
                a,
                b,
            });
        }
    }

    /// Exchanges the vectors that [`decide`](Self::decide) chose: the new weights, and what happens to rows of A and B.
    fn exchange(
        &mut self,
        layers: &[LoraLayer<B::InnerBackend>],
        guard: &Guard<B::InnerBackend>,
    ) -> Planned<B::InnerBackend> {
        let mut planned = Planned::default();
        let mut leaving = Leaving::default();
        for (index, layer) in layers.iter().enumerate() {
            let (_, state) = &self.host.layers[index];
            let mut a = RowPlan::frozen(&state.a.frozen);
            let mut b = RowPlan::frozen(&state.b.frozen);
            // Where nothing switches the counts of rows are that of the matrix, as any AdamW has it.
            let vectors = self.config.schedule.interval().is_some();
            (a.vectors, b.vectors) = (vectors, vectors);
            let switch = &self.last[index];
            // The counterpart of a switched vector has moments that belong to another direction.
            let stale = [&switch.b.rows, &switch.a.rows];
            if let (Some(pools), true) = (&mut self.pools[index], switch.count > 0) {
                let scale = self.config.alpha / layer.rank() as f64;
                let entered = pools.exchange(layer, switch, scale, guard);
                leaving.add(index, switch, entered.to_host);
                planned.weights.insert(layer.weight.0, entered.absorbed);
                (a.replaced, b.replaced) = (entered.a, entered.b);
                if self.config.reset_moments {
                    (a.reset, b.reset) = (stale[0].clone(), stale[1].clone());
                }
            }
            for (id, stale) in [layer.a.0, layer.b.0].into_iter().zip(stale) {
                let counts = self.host.counts.entry(id);
                let counts = counts.or_insert_with(|| vec![0; layer.rank()]);
                if self.config.reset_counts {
                    stale.iter().for_each(|&row| counts[row] = 0);
                }
            }
            planned.rows.insert(layer.a.0, a);
            planned.rows.insert(layer.b.0, b);
        }
        leaving.send(&mut self.pools, guard);
        planned
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> GuardedOptimizer<M, B> for SwitchLora<M, B> {
    fn step_guarded(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
    ) -> M {
        self.host.settle();
        let layers = self.layers(&module);
        if let Guard::Known {
            accepted: false, ..
        } = &guard
        {
            return module;
        }
        self.host.begin(&guard);
        self.decide();
        let planned = self.exchange(&layers, &guard);
        drop(layers);
        let module = module.map(&mut Update::<B> {
            adamw: self.adamw(),
            learning_rate,
            gradients,
            planned,
            guard,
            moments: &mut self.moments,
            counts: &mut self.host.counts,
        });
        for (_, state) in &mut self.host.layers {
            state.a.tick();
            state.b.tick();
        }
        self.host.updates += 1;
        module
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for SwitchLora<M, B> {
    type Record = OptimizerRecord;

    fn step(&mut self, learning_rate: LearningRate, module: M, gradients: GradientsParams) -> M {
        self.step_guarded(learning_rate, module, gradients, Guard::open())
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        let gradients = join(&module, gradients);
        self.step(lr, module, gradients)
    }

    fn to_record(&self) -> OptimizerRecord {
        if let Some(record) = &self.restored {
            return record.clone();
        }
        let host = self.host.settled();
        let layers = host
            .layers
            .iter()
            .zip(&self.pools)
            .map(|((path, state), pools)| LayerRecord {
                path: path.clone(),
                state: state.clone(),
                candidates_a: pools.as_ref().map(|pools| pools.a.to_data()),
                candidates_b: pools.as_ref().map(|pools| pools.b.to_data()),
            });
        OptimizerRecord {
            updates: host.updates,
            moments: read_moments(&self.moments, &host.counts),
            layers: layers.collect(),
            ..OptimizerRecord::default()
        }
    }

    /// The tensors go to the device of the module with the next update.
    fn load_record(self, record: OptimizerRecord) -> Self {
        Self {
            restored: Some(record),
            ..Self::new(self.config).with_draws(self.draws)
        }
    }
}

pub(super) fn inner<B: AutodiffBackend>(layer: LoraLayer<B>) -> LoraLayer<B::InnerBackend> {
    LoraLayer {
        path: layer.path,
        weight: (layer.weight.0, layer.weight.1.inner()),
        a: (layer.a.0, layer.a.1.inner()),
        b: (layer.b.0, layer.b.1.inner()),
    }
}
