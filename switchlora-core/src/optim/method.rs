//! The methods as one optimizer whose kind is chosen at run time.

use super::galore::{GaLore, GaLoreConfig};
use super::guard::{Guard, GuardedOptimizer};
use super::record::OptimizerRecord;
use super::relora::{ReLora, ReLoraConfig};
use super::switchlora::SwitchLora;
use crate::config::SwitchLoraConfig;
use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};

/// What an update does besides AdamW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Algorithm {
    /// Switches as the layers' configuration says: SwitchLoRA; plain LoRA if it never switches; AdamW on layers without rank.
    #[default]
    SwitchLora,
    /// Restarts.
    ReLora(ReLoraConfig),
    /// Projects.
    GaLore(GaLoreConfig),
}

impl Algorithm {
    /// The optimizer for layers of the given configuration; put it inside a [`ClipGradNorm`](super::ClipGradNorm).
    pub fn optimizer<M: AutodiffModule<B>, B: AutodiffBackend>(
        &self,
        layers: &SwitchLoraConfig,
    ) -> MethodOptimizer<M, B> {
        match self {
            Self::SwitchLora => MethodOptimizer::SwitchLora(layers.optimizer()),
            Self::ReLora(config) => MethodOptimizer::ReLora(layers.relora(*config)),
            Self::GaLore(config) => MethodOptimizer::GaLore(config.optimizer()),
        }
    }
}

/// An optimizer of any method. Created by [`Algorithm::optimizer`].
#[derive(Clone, Debug)]
pub enum MethodOptimizer<M, B: AutodiffBackend> {
    /// SwitchLoRA, LoRA, or AdamW.
    SwitchLora(SwitchLora<M, B>),
    /// ReLoRA.
    ReLora(ReLora<M, B>),
    /// GaLore.
    GaLore(GaLore<M, B>),
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> MethodOptimizer<M, B> {
    /// SwitchLoRA's optimizer, if it is one.
    pub fn switchlora(&self) -> Option<&SwitchLora<M, B>> {
        match self {
            Self::SwitchLora(optimizer) => Some(optimizer),
            Self::ReLora(_) | Self::GaLore(_) => None,
        }
    }

    /// Vectors exchanged at the last update, both sides of all layers together.
    pub fn last_switch_count(&self) -> usize {
        self.switchlora().map_or(0, SwitchLora::last_switch_count)
    }

    /// What of the last update someone should know, one line each: projections that failed.
    pub fn remarks(&self) -> Vec<String> {
        let Self::GaLore(galore) = self else {
            return Vec::new();
        };
        let failures = galore.last_failures().iter();
        failures
            .map(|failure| {
                format!(
                    "no new projection for {}: {}; the old one stays",
                    failure.path, failure.reason
                )
            })
            .collect()
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> GuardedOptimizer<M, B> for MethodOptimizer<M, B> {
    fn step_guarded(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
    ) -> M {
        match self {
            Self::SwitchLora(inner) => inner.step_guarded(learning_rate, module, gradients, guard),
            Self::ReLora(inner) => inner.step_guarded(learning_rate, module, gradients, guard),
            Self::GaLore(inner) => inner.step_guarded(learning_rate, module, gradients, guard),
        }
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for MethodOptimizer<M, B> {
    type Record = OptimizerRecord;

    fn step(&mut self, learning_rate: LearningRate, module: M, gradients: GradientsParams) -> M {
        self.step_guarded(learning_rate, module, gradients, Guard::open())
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        match self {
            Self::SwitchLora(inner) => inner.step_multi(lr, module, gradients),
            Self::ReLora(inner) => inner.step_multi(lr, module, gradients),
            Self::GaLore(inner) => inner.step_multi(lr, module, gradients),
        }
    }

    fn to_record(&self) -> OptimizerRecord {
        match self {
            Self::SwitchLora(inner) => inner.to_record(),
            Self::ReLora(inner) => inner.to_record(),
            Self::GaLore(inner) => inner.to_record(),
        }
    }

    fn load_record(self, record: OptimizerRecord) -> Self {
        match self {
            Self::SwitchLora(inner) => Self::SwitchLora(inner.load_record(record)),
            Self::ReLora(inner) => Self::ReLora(inner.load_record(record)),
            Self::GaLore(inner) => Self::GaLore(inner.load_record(record)),
        }
    }
}
