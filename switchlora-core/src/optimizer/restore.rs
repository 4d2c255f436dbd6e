//! Loading a record into an optimizer: it waits until the optimizer sees the module that it belongs to.

use super::{Host, MethodOptimizer};
use crate::layers::Layers;
use crate::plain::{HeldFactors, Named};
use crate::planner::Kept;
use crate::record::load_moments;
use crate::state_error::StateError;
use crate::step::{PoolPlacement, PoolPrecision};
use crate::switching::SwitchLoraConfig;
use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use hashbrown::HashSet;

impl<M: AutodiffModule<B>, B: AutodiffBackend> MethodOptimizer<M, B> {
    /// Checks that the device of `module` can hold the spare vectors.
    pub(super) fn check_pools(&self, module: &M) -> Result<(), StateError> {
        let in_bf16 = |config: &&SwitchLoraConfig| {
            let switches = config.schedule.interval().is_some() && config.candidates.has_pools();
            let on_device = config.pools == PoolPlacement::Device;
            switches && on_device && config.pool_precision == PoolPrecision::Bf16
        };
        if self.fresh.factors().filter(in_bf16).is_none() {
            return Ok(());
        }
        let device = device(module);
        match B::InnerBackend::supports_dtype(&device, DType::BF16) {
            true => Ok(()),
            false => Err(StateError::NoBf16 {
                backend: B::InnerBackend::name(&device),
            }),
        }
    }

    /// Checks a loaded record, and brings the factors that it holds for plain weights, the `named` ones of `module`, to their
    /// device.
    pub(super) fn restore_factors(
        &mut self,
        module: &M,
        named: &[Named<B::InnerBackend>],
    ) -> Result<(), StateError> {
        let Some(record) = &self.restored else {
            return Ok(());
        };
        record.check()?;
        let is_named = self.weights.is_some();
        record.check_form(is_named, is_named && self.host.method.factors().is_some())?;
        if !record.factors.is_empty() {
            self.held = HeldFactors::load(record.factors.clone(), named, &device(module))?;
        }
        Ok(())
    }

    /// Brings everything else of a loaded record to the device of `module`, which has these `layers`. After an error the
    /// record is as it was.
    pub(super) fn restore(
        &mut self,
        module: &M,
        layers: &Layers<B::InnerBackend>,
    ) -> Result<(), StateError> {
        let Some(record) = &self.restored else {
            return Ok(());
        };
        for weight in &layers.plain {
            record.check_moments(weight, self.host.method.moments_of(weight))?;
        }
        let Some(mut record) = self.restored.take() else {
            return Ok(());
        };
        let device = device(module);
        let moments = std::mem::take(&mut record.moments);
        let Host { method, progress } = &mut *self.host;
        for (kind, name, matrices) in [
            (Kept::Projections, "projections", &record.projections),
            (Kept::Velocities, "velocities", &record.velocities),
        ] {
            if !matrices.is_empty() && !method.keeps(kind) {
                self.remarks[0].push(format!(
                    "the loaded state of the optimizer has {name}, which its method does not keep: it was saved by another one"
                ));
            }
        }
        (self.moments, progress.counts) = load_moments(moments, &device);
        progress.updates = record.updates;
        method.load(record, &mut self.pools, &device);
        let mut ids = Ids(self.held.ids().into_iter().collect());
        module.visit(&mut ids);
        let lost = self.moments.keys().filter(|id| !ids.0.contains(*id));
        let (lost, all) = (lost.count(), self.moments.len());
        if lost > 0 {
            self.remarks[0].push(format!(
                "{lost} of the {all} parameters in the loaded state of the optimizer are not in the module, whose \
                 parameters start fresh: load the record of the model too, which gives them their ids"
            ));
        }
        Ok(())
    }
}

/// The device that the tensors of a record go to.
fn device<B: AutodiffBackend, M: AutodiffModule<B>>(module: &M) -> B::Device {
    module.devices().into_iter().next().unwrap_or_default()
}

/// The ids of a module's parameters.
struct Ids(HashSet<ParamId>);

impl<B: Backend> ModuleVisitor<B> for Ids {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.insert(param.id);
    }
}
