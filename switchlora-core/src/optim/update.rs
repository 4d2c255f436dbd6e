//! The walk over a module that updates each parameter.

use super::adamw::{AdamW, RowPlan};
use super::exchange::Absorbed;
use super::guard::Guard;
use burn::module::{ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use hashbrown::HashMap;
use switchlora_ops::Moments;

/// What one update does to weights and rows, by parameter.
pub(super) struct Planned<B: Backend> {
    /// What the weights of layers absorb.
    pub weights: HashMap<ParamId, Absorbed<B>>,
    /// What happens to rows of factors.
    pub rows: HashMap<ParamId, RowPlan<B>>,
}

impl<B: Backend> Default for Planned<B> {
    fn default() -> Self {
        Self {
            weights: HashMap::new(),
            rows: HashMap::new(),
        }
    }
}

/// Walks the module and updates each parameter.
pub(super) struct Update<'a, B: AutodiffBackend> {
    pub adamw: AdamW,
    pub learning_rate: f64,
    pub gradients: GradientsParams,
    pub planned: Planned<B::InnerBackend>,
    pub guard: Guard<B::InnerBackend>,
    pub moments: &'a mut HashMap<ParamId, Moments<B::InnerBackend>>,
    pub counts: &'a mut HashMap<ParamId, Vec<u32>>,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Update<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let trained = tensor.is_require_grad();
        let shape = tensor.dims();
        let tensor = if let Some(absorbed) = self.planned.weights.remove(&id) {
            // A weight has two dimensions here as there; the other forms of this function have none.
            let weight = tensor.inner().reshape([shape[0], shape[D - 1]]);
            Tensor::from_inner(absorbed.by(weight, &self.guard).reshape(shape))
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
