//! What a method adds to AdamW, as seen by the one [optimizer](crate::MethodOptimizer) of all methods.

use crate::config_error::ConfigError;
use crate::layers::{Layers, LoraLayer, PlainWeight};
use crate::record::OptimizerRecord;
use crate::state_error::StateError;
use crate::step::{AdamW, Plan, Pools};
use crate::switching::SwitchLoraConfig;
use burn::module::ParamId;
use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use dyn_clone::{DynClone, clone_trait_object};
use hashbrown::HashMap;
use std::any::Any;
use std::fmt::Debug;
use switchlora_ops::Moments;

/// A method: it plans each update, and keeps on the host the state that follows from the updates that happened.
///
/// It plans as if the update were certain. If an update is refused, the optimizer puts back the method as it was before.
pub(crate) trait Planner<B: Backend>: Any + Debug + DynClone + Send + Sync {
    /// Checks every setting. An optimizer is made of a valid method only.
    fn validate(&self) -> Result<(), ConfigError>;

    /// The settings of factors for plain weights; `None` for a method that trains the weights themselves.
    fn factors(&self) -> Option<&SwitchLoraConfig> {
        None
    }

    /// The AdamW that trains every parameter.
    fn adamw(&self) -> AdamW;

    /// Shape of AdamW's moments for the weight of a layer without factors; `None` if the method keeps none for it.
    fn moments_of(&self, weight: &PlainWeight) -> Option<[usize; 2]> {
        Some(weight.shape)
    }

    /// Whether its state has matrices of this kind.
    fn keeps(&self, _kind: Kept) -> bool {
        false
    }

    /// Gives each layer of the module its state and its pools.
    ///
    /// The state belongs to the parameters: new ones start fresh, as with any optimizer of Burn. Only the state of a record
    /// that has just been loaded belongs to paths. Returns what a person should know of the layers, one line each; nothing
    /// if the layers are those of the update before.
    ///
    /// # Errors
    ///
    /// A state does not fit the layer that it belongs to, or a layer cannot be trained by the method.
    fn prepare(
        &mut self,
        layers: &Layers<B>,
        pools: &mut Pools<B>,
    ) -> Result<Vec<String>, StateError>;

    /// Whether what the update does cannot be taken back, so that the decision about it is waited for.
    fn is_final(&self, _update: &Update<'_, B>) -> bool {
        false
    }

    /// What the update does besides AdamW. Gradients that it takes out are not seen by AdamW.
    fn plan(
        &mut self,
        update: &Update<'_, B>,
        gradients: &mut GradientsParams,
        pools: &mut Pools<B>,
    ) -> Plan<B>;

    /// What follows an update that is [final](Self::is_final), once it has happened: for one layer with factors after another,
    /// so that the new tensors of all are never in memory together.
    fn plan_after(&self, _layer: &LoraLayer<B>, _after: &After<'_, B>) -> Option<Plan<B>> {
        None
    }

    /// Adds its state to a record.
    fn save(&self, pools: &Pools<B>, record: &mut OptimizerRecord);

    /// Takes its state from a record.
    fn load(&mut self, record: OptimizerRecord, pools: &mut Pools<B>, device: &B::Device);

    /// What a person should know of the last update, one line each.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Matrices besides AdamW's moments that some methods keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Of gradients.
    Projections,
    /// Of orthogonal steps.
    Velocities,
}

/// One update, as a method sees it.
pub(crate) struct Update<'a, B: Backend> {
    /// The update, counted from 0.
    pub number: u64,
    /// The layers of the module before it.
    pub layers: &'a Layers<B>,
    /// Moments of each parameter.
    pub moments: &'a HashMap<ParamId, Moments<B>>,
    /// Step counts of each parameter.
    pub counts: &'a HashMap<ParamId, Vec<u32>>,
}

/// An update that has happened, as a method sees it at one layer.
pub(crate) struct After<'a, B: Backend> {
    /// The update, counted from 0.
    pub number: u64,
    /// The layer's place among those with factors, in the order of the walk.
    pub index: usize,
    /// Moments of each parameter.
    pub moments: &'a HashMap<ParamId, Moments<B>>,
}

clone_trait_object!(<B: Backend> Planner<B>);
