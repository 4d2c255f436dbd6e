//! The method in one optimizer: switch, reset, freeze, AdamW (Section 3, Algorithm 1).
//!
//! It owns what is only needed in training (moments, step counts, candidates) and receives the module by value, so it
//! works in burn-train's `Learner`, in a hand-written loop, and on any module with
//! [`SwitchLoraLinear`](crate::SwitchLoraLinear) fields. Without such a field it is AdamW. Counts, positions, freezes and
//! choices live on the host and follow from `(seed, layer, update)`; no update reads from the device.

use super::adamw::{AdamW, Moments, RowPlan};
use super::clip::join;
use super::guard::{Guard, GuardedOptimizer};
use super::record::{LayerRecord, MomentsRecord, SwitchLoraRecord};
use crate::candidates::{Candidates, gather};
use crate::config::SwitchLoraConfig;
use crate::deferred::Deferred;
use crate::init::{Bounds, uniform};
use crate::layers::{LoraLayer, lora_layers};
use crate::random::{Purpose, stream};
use crate::switch::{Choice, Exchange, LayerState, LayerSwitch, Selection};
use burn::module::{AutodiffModule, ModuleMapper, Param, ParamId};
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData, Transaction};
use hashbrown::HashMap;
use rand::Rng;
use std::marker::PhantomData;
use std::sync::Arc;

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
    host: HostState,
    moments: HashMap<ParamId, Moments<B::InnerBackend>>,
    pools: Vec<Option<Pools<B::InnerBackend>>>,
    unsettled: Option<(HostState, Deferred<bool>)>,
    last: Vec<LayerSwitch>,
    restored: Option<SwitchLoraRecord>,
    module: PhantomData<M>,
}

/// What follows from the updates that happened and lives on the host.
#[derive(Clone, Debug, Default)]
struct HostState {
    updates: u64,
    layers: Vec<(String, LayerState)>,
    counts: HashMap<ParamId, Vec<u32>>,
}

/// The spare vectors of both sides of a layer.
#[derive(Clone, Debug)]
struct Pools<B: Backend> {
    a: Candidates<B>,
    b: Candidates<B>,
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> SwitchLora<M, B> {
    pub(crate) fn new(config: SwitchLoraConfig) -> Self {
        Self {
            config,
            draws: Draws::default(),
            host: HostState::default(),
            moments: HashMap::new(),
            pools: Vec::new(),
            unsettled: None,
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
            None => self.settled().updates,
        }
    }

    /// Path, slots, freezes and walk of each layer with factors; waits for the last decision. Empty before the first
    /// update, unless [`prepare`](Self::prepare) came before.
    pub fn layer_states(&self) -> &[(String, LayerState)] {
        &self.settled().layers
    }

    /// What the last update exchanged, layer by layer.
    pub fn last_switches(&self) -> &[LayerSwitch] {
        &self.last
    }

    /// Vectors exchanged at the last update, both sides of all layers together.
    pub fn last_switch_count(&self) -> usize {
        2 * self.last.iter().map(|layer| layer.count).sum::<usize>()
    }

    /// Finds the layers of `module` and draws their candidates, which the first update otherwise does.
    ///
    /// # Panics
    ///
    /// If the layers are not those that the state (of a record, or of earlier updates) belongs to.
    pub fn prepare(&mut self, module: &M) {
        self.layers(module);
    }

    /// The layers of the module, with the state of each made if there is none yet.
    fn layers(&mut self, module: &M) -> Vec<LoraLayer<B::InnerBackend>> {
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

    fn restore(&mut self, record: SwitchLoraRecord, device: &B::Device) {
        self.host.updates = record.updates;
        for (id, moments) in record.moments {
            let id = ParamId::deserialize(&id);
            self.host.counts.insert(id, moments.counts);
            let first = Tensor::from_data(moments.first, device);
            let second = Tensor::from_data(moments.second, device);
            self.moments.insert(id, Moments { first, second });
        }
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
        let bounds = Bounds::new(n, m, layer.rank());
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

    /// The state of the host once the last decision is known.
    fn settled(&self) -> &HostState {
        match &self.unsettled {
            Some((before, accepted)) if !accepted.get() => before,
            _ => &self.host,
        }
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
                _ => state.switch(count, self.config.freeze, choice),
            };
            self.last.push(LayerSwitch {
                path: path.clone(),
                count: a.rows.len(),
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
            let switch = &self.last[index];
            if let (Some(pools), true) = (&mut self.pools[index], switch.count > 0) {
                let scale = self.config.alpha / layer.rank() as f64;
                let entered = pools.exchange(layer, switch, scale, guard);
                leaving.add(index, switch, entered.to_host);
                planned.weights.insert(layer.weight.0, entered.weight);
                (a.replaced, b.replaced) = (Some(entered.a), Some(entered.b));
                // The counterpart of a switched vector has moments that belong to another direction.
                (a.reset, b.reset) = (switch.b.rows.clone(), switch.a.rows.clone());
            }
            for (id, reset) in [(layer.a.0, &a.reset), (layer.b.0, &b.reset)] {
                let counts = self.host.counts.entry(id);
                let counts = counts.or_insert_with(|| vec![0; layer.rank()]);
                reset.iter().for_each(|&row| counts[row] = 0);
            }
            planned.rows.insert(layer.a.0, a);
            planned.rows.insert(layer.b.0, b);
        }
        leaving.send(&mut self.pools, guard);
        planned
    }
}

/// What an exchange gives one layer.
struct Entered<B: Backend> {
    weight: Tensor<B, 2>,
    a: (Vec<usize>, Tensor<B, 2>),
    b: (Vec<usize>, Tensor<B, 2>),
    to_host: [Option<Tensor<B, 2>>; 2],
}

impl<B: Backend> Pools<B> {
    /// `W + s (A_out - A_in)ᵀ B + s Aᵀ (B_out - B_in)` over the exchanged rows, in one product of rank `2 k`.
    ///
    /// The rows that A and B exchange in one update are different ones, so the order of the sides does not matter.
    fn exchange(
        &mut self,
        layer: &LoraLayer<B>,
        switch: &LayerSwitch,
        scale: f64,
        guard: &Guard<B>,
    ) -> Entered<B> {
        let (a, b) = (&layer.a.1, &layer.b.1);
        let rows = |exchange: &Exchange| exchange.rows.clone();
        let device = a.device();
        let a_out = gather(a, rows(&switch.a)); // [k, d_input]
        let b_out = gather(b, rows(&switch.b)); // [k, d_output]
        let a_in = self.a.incoming(&switch.a, &a_out, &device);
        let b_in = self.b.incoming(&switch.b, &b_out, &device);
        let left = [a_out.clone() - a_in.clone(), gather(a, rows(&switch.b))];
        let right = [gather(b, rows(&switch.a)), b_out.clone() - b_in.clone()];
        let left = Tensor::cat(left.into(), 0); // [2 k, d_input]
        let right = Tensor::cat(right.into(), 0) * scale; // [2 k, d_output]
        let weight = layer.weight.1.clone() + left.transpose().matmul(right);
        let to_host = [
            self.a.store(&switch.a, &a_out, guard),
            self.b.store(&switch.b, &b_out, guard),
        ];
        Entered {
            weight: guard.choose(weight, guard.keep(&layer.weight.1)),
            a: (rows(&switch.a), a_in),
            b: (rows(&switch.b), b_in),
            to_host,
        }
    }
}

/// Vectors of all layers on their way to host pools, read back together.
struct Leaving<B: Backend> {
    rows: Vec<Tensor<B, 2>>,
    /// Layer, whether it is side A, and the pool positions, for each of `rows`.
    to: Vec<(usize, bool, Vec<usize>)>,
}

impl<B: Backend> Default for Leaving<B> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            to: Vec::new(),
        }
    }
}

impl<B: Backend> Leaving<B> {
    fn add(&mut self, layer: usize, switch: &LayerSwitch, rows: [Option<Tensor<B, 2>>; 2]) {
        for (exchange, rows, is_a) in rows
            .into_iter()
            .zip([&switch.a, &switch.b])
            .zip([true, false])
            .map(|((rows, exchange), is_a)| (exchange, rows, is_a))
        {
            if let Some(rows) = rows {
                self.rows.push(rows);
                let positions = exchange.stores.iter().map(|store| store.0).collect();
                self.to.push((layer, is_a, positions));
            }
        }
    }

    /// One read for all, by the reader thread.
    fn send(self, pools: &mut [Option<Pools<B>>], guard: &Guard<B>) {
        if self.rows.is_empty() {
            return;
        }
        let (rows, guard) = (self.rows, guard.clone());
        let read = Deferred::read(move || {
            let rows = rows.into_iter();
            let all = rows.fold(Transaction::<B>::default(), |all, rows| all.register(rows));
            let all = all.execute();
            guard.accepted().then(|| Arc::new(all))
        });
        for (index, (layer, is_a, positions)) in self.to.into_iter().enumerate() {
            let rows = read
                .map(move |all: Option<Arc<Vec<TensorData>>>| all.map(|all| all[index].clone()));
            if let Some(pools) = &mut pools[layer] {
                match is_a {
                    true => pools.a.arrive(positions, rows),
                    false => pools.b.arrive(positions, rows),
                }
            }
        }
    }
}

impl<B: Backend> RowPlan<B> {
    fn frozen(updates: &[u32]) -> Self {
        let frozen = updates.iter().enumerate().filter(|(_, left)| **left > 0);
        Self {
            frozen: frozen.map(|(row, _)| row).collect(),
            vectors: true,
            ..Self::default()
        }
    }
}

/// What one update does to weights and rows, by parameter.
struct Planned<B: Backend> {
    weights: HashMap<ParamId, Tensor<B, 2>>,
    rows: HashMap<ParamId, RowPlan<B>>,
}

impl<B: Backend> Default for Planned<B> {
    fn default() -> Self {
        Self {
            weights: HashMap::new(),
            rows: HashMap::new(),
        }
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
        if let Some((before, accepted)) = self.unsettled.take()
            && !accepted.get()
        {
            self.host = before;
        }
        let layers = self.layers(&module);
        match &guard {
            Guard::Known { accepted: true, .. } => {}
            Guard::Known { .. } => return module,
            Guard::Later { accepted, .. } => {
                self.unsettled = Some((self.host.clone(), accepted.clone()));
            }
        }
        self.decide();
        let planned = self.exchange(&layers, &guard);
        drop(layers);
        let config = &self.config;
        let module = module.map(&mut Update::<B> {
            adamw: AdamW {
                beta_1: config.beta_1,
                beta_2: config.beta_2,
                epsilon: config.epsilon,
                weight_decay: config.weight_decay,
            },
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

/// Walks the module and updates each parameter.
struct Update<'a, B: AutodiffBackend> {
    adamw: AdamW,
    learning_rate: f64,
    gradients: GradientsParams,
    planned: Planned<B::InnerBackend>,
    guard: Guard<B::InnerBackend>,
    moments: &'a mut HashMap<ParamId, Moments<B::InnerBackend>>,
    counts: &'a mut HashMap<ParamId, Vec<u32>>,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Update<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let trained = tensor.is_require_grad();
        let shape = tensor.dims();
        let tensor = if let Some(weight) = self.planned.weights.remove(&id) {
            Tensor::<B, 2>::from_inner(weight).reshape(shape)
        } else {
            let gradient = self.gradients.remove::<B::InnerBackend, D>(id);
            let plan = self.planned.rows.remove(&id);
            if gradient.is_none() && plan.is_none() {
                return Param::from_mapped_value(id, tensor, mapper);
            }
            let rows = if D > 1 { shape[0] } else { 1 };
            let matrix = [rows, shape.iter().product::<usize>() / rows.max(1)];
            let counts = self.counts.entry(id).or_insert_with(|| vec![0]);
            if gradient.is_some() {
                counts.iter_mut().for_each(|count| *count += 1);
            }
            let (updated, moments) = self.adamw.update(
                self.learning_rate,
                tensor.inner().reshape(matrix),
                gradient.map(|gradient| gradient.reshape(matrix)),
                self.moments.remove(&id),
                counts,
                plan.unwrap_or_default(),
                &self.guard,
            );
            if let Some(moments) = moments {
                self.moments.insert(id, moments);
            }
            Tensor::from_inner(updated.reshape(shape))
        };
        let tensor = tensor.set_require_grad(trained);
        Param::from_mapped_value(id, tensor, mapper)
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for SwitchLora<M, B> {
    type Record = SwitchLoraRecord;

    fn step(&mut self, learning_rate: LearningRate, module: M, gradients: GradientsParams) -> M {
        self.step_guarded(learning_rate, module, gradients, Guard::open())
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        let gradients = join(&module, gradients);
        self.step(lr, module, gradients)
    }

    fn to_record(&self) -> SwitchLoraRecord {
        if let Some(record) = &self.restored {
            return record.clone();
        }
        let host = self.settled();
        let mut read = Transaction::<B::InnerBackend>::default();
        for moments in self.moments.values() {
            read = read
                .register(moments.first.clone())
                .register(moments.second.clone());
        }
        let mut read = read.execute().into_iter();
        let mut next = || {
            read.next()
                .expect("two tensors for each parameter were read")
        };
        let moments = self.moments.keys().map(|id| {
            let record = MomentsRecord {
                first: next(),
                second: next(),
                counts: host.counts.get(id).cloned().unwrap_or_default(),
            };
            (id.serialize(), record)
        });
        let moments = moments.collect();
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
        SwitchLoraRecord {
            updates: host.updates,
            moments,
            layers: layers.collect(),
        }
    }

    /// The tensors go to the device of the module with the next update.
    fn load_record(self, record: SwitchLoraRecord) -> Self {
        Self {
            restored: Some(record),
            ..Self::new(self.config).with_draws(self.draws)
        }
    }
}

fn inner<B: AutodiffBackend>(layer: LoraLayer<B>) -> LoraLayer<B::InnerBackend> {
    LoraLayer {
        path: layer.path,
        weight: (layer.weight.0, layer.weight.1.inner()),
        a: (layer.a.0, layer.a.1.inner()),
        b: (layer.b.0, layer.b.1.inner()),
    }
}
