//! The mean of the gradients of several micro-batches.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use std::marker::PhantomData;

/// Divides the gradients that `sum` added up by `count`, the number of micro-batches.
pub(super) fn mean<B: AutodiffBackend, M: AutodiffModule<B>>(
    sum: &mut GradientsAccumulator<M>,
    model: &M,
    count: usize,
) -> GradientsParams {
    let mut gradients = sum.grads();
    if count > 1 {
        model.visit(&mut Scale::<B> {
            gradients: &mut gradients,
            factor: 1.0 / count as f64,
            backend: PhantomData,
        });
    }
    gradients
}

struct Scale<'a, B> {
    gradients: &'a mut GradientsParams,
    factor: f64,
    backend: PhantomData<B>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Scale<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}
