//! The optimizer of every method: AdamW, and what the method plans besides (Section 3, Algorithm 1).
//!
//! It owns what only training needs (moments, step counts, candidates) and receives the module by value, so it works in
//! burn-train's `Learner` and in a hand-written loop, on any module with [`SwitchLoraLinear`](crate::SwitchLoraLinear)
//! fields, and on plain weights that a [rule](Weights) names. Without either it is AdamW. No update reads from the device.

use crate::config_error::insist;
use crate::layers::Layers;
use crate::plain::{HeldFactors, Named, Weights};
use crate::planner::{After, Planner, Update};
use crate::record::{OptimizerRecord, read_moments};
use crate::state_error::StateError;
use crate::step::{Commit, Groups, Guard, GuardedOptimizer, Here, Plan, Pools, Speculative, join};
use crate::trained::check_trained;
use burn::module::{AutodiffModule, ParamId};
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use hashbrown::{HashMap, HashSet};
use std::any::Any;
use std::marker::PhantomData;
use switchlora_ops::Moments;

mod groups;
mod named;
mod restore;

pub(crate) use groups::check_layer_rate;

/// The optimizer of a method. Created by [`MethodConfig::optimizer`](crate::MethodConfig::optimizer) or
/// [`SwitchLoraConfig::optimizer`](crate::SwitchLoraConfig::optimizer); put it inside a [`ClipGradNorm`](crate::ClipGradNorm).
#[derive(Clone, Debug)]
pub struct MethodOptimizer<M, B: AutodiffBackend> {
    /// The method before its first update.
    fresh: Box<dyn Planner<B::InnerBackend>>,
    host: Speculative<Host<B::InnerBackend>>,
    moments: HashMap<ParamId, Moments<B::InnerBackend>>,
    pools: Pools<B::InnerBackend>,
    /// Names plain weights that the method trains.
    weights: Option<Weights>,
    /// Factors of these weights, for a method that has factors.
    held: HeldFactors<B::InnerBackend>,
    /// A record that goes to the device of the module with the next update.
    restored: Option<OptimizerRecord>,
    /// What a person should know of the next update, and of the last one.
    remarks: [Vec<String>; 2],
    /// Number of plain weights that were named last.
    placed: Option<usize>,
    /// Factor of the learning rate for the parameters of layers.
    layer_rate: f64,
    /// Puts parameters into groups.
    groups: Option<Groups>,
    module: PhantomData<M>,
}

/// What follows from the updates that happened and lives on the host.
#[derive(Clone, Debug)]
struct Host<B: Backend> {
    method: Box<dyn Planner<B>>,
    progress: Progress,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    updates: u64,
    /// Step counts of each parameter.
    counts: HashMap<ParamId, Vec<u32>>,
}

impl Progress {
    /// The next update, as a method sees it.
    fn update<'a, B: Backend>(
        &'a self,
        layers: &'a Layers<B>,
        moments: &'a HashMap<ParamId, Moments<B>>,
    ) -> Update<'a, B> {
        Update {
            number: self.updates,
            layers,
            moments,
            counts: &self.counts,
        }
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> MethodOptimizer<M, B> {
    /// The optimizer of a method. The only way to one, so that the settings of every optimizer have been checked.
    ///
    /// # Panics
    ///
    /// If a setting is out of its range.
    pub(crate) fn new(fresh: Box<dyn Planner<B::InnerBackend>>) -> Self {
        insist("an optimizer", fresh.validate());
        let host = Host {
            method: fresh.clone(),
            progress: Progress::default(),
        };
        Self {
            fresh,
            host: Speculative::new(host),
            moments: HashMap::new(),
            pools: Pools::default(),
            weights: None,
            held: HeldFactors::default(),
            restored: None,
            remarks: Default::default(),
            placed: None,
            layer_rate: 1.0,
            groups: None,
            module: PhantomData,
        }
    }

    /// Updates that happened; waits for the last decision.
    pub fn updates(&self) -> u64 {
        match &self.restored {
            Some(record) => record.updates,
            None => self.host.settled().progress.updates,
        }
    }

    /// What a person should know of the last update, one line each: layers that never switch, a module without factors,
    /// layers or moments that start fresh, projections that could not be computed.
    pub fn remarks(&self) -> Vec<String> {
        let of_method = self.host.method.remarks();
        [self.remarks[1].clone(), of_method].concat()
    }

    /// Finds the layers of `module` and draws their candidates, which the first update otherwise does.
    ///
    /// # Panics
    ///
    /// Where [`try_prepare`](Self::try_prepare) returns an error, with its message.
    pub fn prepare(&mut self, module: &M) {
        self.layers(module);
    }

    /// As [`prepare`](Self::prepare), which each update does too.
    ///
    /// The state belongs to parameters, by their ids: new parameters start fresh, as with Burn's optimizers. A record that
    /// has just been loaded belongs to the module at whose paths its layers are. Unlike moments, the slots, freezes and
    /// candidates of a layer that the module lacks in an update are dropped, and drawn anew when it comes back.
    ///
    /// The state stays on the device where it was made. After the module has moved to another one, load the optimizer's own
    /// record: `optimizer.load_record(optimizer.to_record())`.
    ///
    /// # Errors
    ///
    /// A loaded record was saved for another module, a layer has another shape than its state, a parameter that is
    /// trained is in two places, quantized, or not of one dtype (f32 or f64) with all others, the method cannot train a layer,
    /// or the device cannot hold the candidates.
    pub fn try_prepare(&mut self, module: &M) -> Result<(), StateError> {
        self.find_layers(module).map(drop)
    }

    fn layers(&mut self, module: &M) -> Layers<B::InnerBackend> {
        match self.find_layers(module) {
            Ok(layers) => layers,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// The layers of `module`, for which the method is prepared.
    fn find_layers(&mut self, module: &M) -> Result<Layers<B::InnerBackend>, StateError> {
        self.host.settle();
        // A refused update may have been the first of a parameter: its moments are zero, as those of one without any.
        let counts = &self.host.progress.counts;
        self.moments.retain(|id, _| counts.contains_key(id));
        let named: Vec<Named<_>> = match &self.weights {
            Some(weights) => weights.of(module)?.into_iter().map(Named::inner).collect(),
            None => Vec::new(),
        };
        let layers = Layers::of(module).inner();
        self.check_pools(module)?;
        self.restore_factors(module, &named)?;
        let layers = self.place(layers, named)?;
        layers.check()?;
        check_trained(module)?;
        self.restore(module, &layers)?;
        self.groups_of(module)?;
        let remarks = self.host.method.prepare(&layers, &mut self.pools)?;
        self.remarks[0].extend(remarks);
        Ok(layers)
    }

    /// Carries out a plan; `trained` are the parameters of layers.
    fn commit(
        &mut self,
        learning_rate: f64,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
        trained: &HashSet<ParamId>,
        plan: Plan<B::InnerBackend>,
    ) -> M {
        let groups = match self.groups_of(&module) {
            Ok(groups) => groups,
            Err(reason) => panic!("{reason}"),
        };
        let Host { method, progress } = &mut *self.host;
        let commit = Commit::<B> {
            adamw: method.adamw(),
            learning_rate,
            layers: (trained, self.layer_rate),
            gradients,
            guard,
            moments: &mut self.moments,
            counts: &mut progress.counts,
            factors: &mut self.held.all,
            path: Vec::new(),
            groups,
            here: Here::default(),
        };
        commit.run(module, plan, &mut self.pools)
    }

    /// Carries out what follows an update that has happened, and cannot be refused any more.
    fn follow(&mut self, learning_rate: f64, mut module: M) -> M {
        let layers = self.layers(&module);
        let trained = layers.trained();
        for (index, layer) in layers.lora.into_iter().enumerate() {
            let Host { method, progress } = &*self.host;
            let after = After {
                number: progress.updates,
                index,
                moments: &self.moments,
            };
            let plan = method.plan_after(&layer, &after);
            // The commit must be the only owner of what it writes to.
            drop(layer);
            if let Some(plan) = plan {
                let (none, open) = (GradientsParams::new(), Guard::open());
                module = self.commit(learning_rate, module, none, open, &trained, plan);
            }
        }
        module
    }

    /// The method as it is after the last update, refused or not, if it is a `P`.
    pub(crate) fn last<P: Planner<B::InnerBackend>>(&self) -> Option<&P> {
        (&*self.host.method as &dyn Any).downcast_ref()
    }

    /// The method after the updates that happened, if it is a `P`; waits for the last decision.
    pub(crate) fn settled<P: Planner<B::InnerBackend>>(&self) -> Option<&P> {
        (&*self.host.settled().method as &dyn Any).downcast_ref()
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> GuardedOptimizer<M, B> for MethodOptimizer<M, B> {
    fn own_gradients(
        &mut self,
        module: &M,
        gradients: GradientsParams,
    ) -> (GradientsParams, Vec<ParamId>) {
        if self.weights.is_some() {
            self.layers(module);
        }
        (self.project(module, gradients), self.factor_ids())
    }

    fn step_guarded(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
    ) -> M {
        self.step_guarded_among(learning_rate, module, gradients, guard, &mut |module| {
            module
        })
    }

    fn step_guarded_among(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        mut gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
        exchange: &mut dyn FnMut(M) -> M,
    ) -> M {
        assert!(
            (learning_rate as f32).is_finite(),
            "the learning rate is {learning_rate}, expected a finite number"
        );
        let layers = self.layers(&module);
        if guard.is_refused() {
            return module;
        }
        self.held.project::<B, M>(&module, &mut gradients);
        let Host { method, progress } = &*self.host;
        let is_final = method.is_final(&progress.update(&layers, &self.moments));
        if is_final && !guard.accepted() {
            return module;
        }
        self.remarks = [Vec::new(), std::mem::take(&mut self.remarks[0])];
        self.remarks[1].extend(self.held.without_gradients(&gradients));
        self.host.begin(&guard);
        let Host { method, progress } = &mut *self.host;
        let update = progress.update(&layers, &self.moments);
        let plan = method.plan(&update, &mut gradients, &mut self.pools);
        let trained = layers.trained();
        // The commit must be the only owner of what it writes to.
        drop(layers);
        let module = self.commit(learning_rate, module, gradients, guard, &trained, plan);
        let mut module = exchange(module);
        if is_final {
            module = self.follow(learning_rate, module);
        }
        self.host.progress.updates += 1;
        module
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for MethodOptimizer<M, B> {
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
        let mut record = OptimizerRecord {
            updates: host.progress.updates,
            moments: read_moments(&self.moments, &host.progress.counts),
            factors: self.held.save(),
            ..OptimizerRecord::default()
        };
        host.method.save(&self.pools, &mut record);
        record
    }

    /// The tensors go to the device of the module with the next update.
    fn load_record(self, record: OptimizerRecord) -> Self {
        Self {
            restored: Some(record),
            layer_rate: self.layer_rate,
            groups: self.groups,
            weights: self.weights,
            ..Self::new(self.fresh)
        }
    }
}
