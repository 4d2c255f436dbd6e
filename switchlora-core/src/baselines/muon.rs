//! Muon: every weight is trained, by [steps that are made orthogonal](MuonConfig).
//!
//! `W <- W (1 - lr decay) - lr S` with the step `S`. Weights are found by walking the module: those of
//! [`SwitchLoraLinear`](crate::SwitchLoraLinear) layers without factors. Everything else is trained by AdamW.

use crate::config_error::ConfigError;
use crate::layers::{Layers, PlainWeight, without_weights};
use crate::optimizer::MethodOptimizer;
use crate::planner::{Kept, Planner, Update};
use crate::record::OptimizerRecord;
use crate::state_error::StateError;
use crate::step::{
    AdamW, AdamWConfig, BiasCorrection, MuonConfig, Plan, Pools, Velocities, WeightWrite,
};
use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};

impl MuonConfig {
    /// The optimizer, with `adamw` for everything but the weights of the layers, and for its weight decay; put it
    /// inside a [`ClipGradNorm`](crate::ClipGradNorm).
    ///
    /// # Panics
    ///
    /// If the configuration is not [valid](Self::validate).
    pub fn optimizer<M, B>(&self, adamw: AdamWConfig) -> MethodOptimizer<M, B>
    where
        M: AutodiffModule<B>,
        B: AutodiffBackend,
    {
        MethodOptimizer::new(Box::new(Muon::new(*self, adamw)))
    }
}

/// Muon.
#[derive(Clone, Debug)]
pub(crate) struct Muon<B: Backend> {
    config: MuonConfig,
    adamw: AdamWConfig,
    velocities: Velocities<B>,
    /// Whether the module has been looked at.
    prepared: bool,
}

impl<B: Backend> Muon<B> {
    /// The method before its first update.
    pub fn new(config: MuonConfig, adamw: AdamWConfig) -> Self {
        Self {
            config,
            adamw,
            velocities: Velocities::new(config),
            prepared: false,
        }
    }
}

impl<B: Backend> Planner<B> for Muon<B> {
    fn validate(&self) -> Result<(), ConfigError> {
        self.config.validate()?;
        self.adamw.validate()
    }

    fn adamw(&self) -> AdamW {
        AdamW {
            config: self.adamw,
            bias_correction: BiasCorrection::All,
        }
    }

    fn moments_of(&self, _weight: &PlainWeight) -> Option<[usize; 2]> {
        None
    }

    fn keeps(&self, kind: Kept) -> bool {
        kind == Kept::Velocities
    }

    fn prepare(
        &mut self,
        layers: &Layers<B>,
        _pools: &mut Pools<B>,
    ) -> Result<Vec<String>, StateError> {
        let first = !std::mem::replace(&mut self.prepared, true);
        for weight in &layers.plain {
            self.velocities
                .check(&weight.path, weight.id, weight.shape)?;
        }
        let remark = first.then(|| without_weights(layers));
        Ok(remark.flatten().into_iter().collect())
    }

    fn plan(
        &mut self,
        update: &Update<'_, B>,
        gradients: &mut GradientsParams,
        _pools: &mut Pools<B>,
    ) -> Plan<B> {
        let mut plan = Plan::default();
        for weight in &update.layers.plain {
            if let Some(gradient) = weight.take_gradient::<B>(gradients) {
                let step = self.velocities.step(weight.id, gradient, &[], &[]);
                plan.weights.insert(weight.id, WeightWrite::Step { step });
            }
        }
        plan
    }

    fn save(&self, _pools: &Pools<B>, record: &mut OptimizerRecord) {
        record.velocities = self.velocities.save();
    }

    fn load(&mut self, record: OptimizerRecord, _pools: &mut Pools<B>, device: &B::Device) {
        self.velocities.load(record.velocities, device);
    }
}
