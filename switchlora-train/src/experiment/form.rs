//! Where a method keeps its factors: in the layers of the model, or in the optimizer beside plain weights.

use super::config::Experiment;
use crate::model::{LlamaConfig, projection_weights};
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use switchlora_core::cost::Cost;
use switchlora_core::{ClipGradNorm, MethodConfig, MethodOptimizer, SwitchLoraConfig};

impl Experiment {
    /// The layers of a model that `method` trains: without factors where the optimizer holds them.
    pub fn model_layers(&self, method: &MethodConfig) -> SwitchLoraConfig {
        match self.plain {
            true => method.full_rank().layers,
            false => method.layers.clone(),
        }
    }

    /// The optimizer of `method`, empty, for a model of these [layers](Self::model_layers).
    pub fn optimizer<M: AutodiffModule<B>, B: AutodiffBackend>(
        &self,
        method: &MethodConfig,
    ) -> ClipGradNorm<MethodOptimizer<M, B>> {
        let optimizer = method.optimizer();
        let optimizer = match method.layers.rank.filter(|_| self.plain) {
            Some(rank) => optimizer.on_weights(projection_weights(rank)),
            None => optimizer,
        };
        ClipGradNorm::new(self.clip, optimizer)
    }

    /// Parameters, memory and traffic of training `model` by `method`, in closed form.
    pub fn cost(&self, model: &LlamaConfig, method: &MethodConfig) -> Cost {
        let (shape, layers) = (model.shape(), &method.layers);
        let (rank, others) = (self.rank.unwrap_or(0), shape.other_parameters);
        let cost = self.method.cost(&shape, rank).with_frozen(layers.frozen);
        let pools = layers.candidates.pools(layers.pool_precision);
        let cost = cost.with_pools(pools, shape.spare_vectors(rank));
        let cost = match layers.orthogonal {
            Some(_) if self.method.freezes() => cost.with_orthogonal_factors(others),
            _ => cost,
        };
        match self.plain {
            true => cost.with_plain_weights(others),
            false => cost,
        }
    }
}
