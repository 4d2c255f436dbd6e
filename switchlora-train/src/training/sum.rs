//! The mean of the gradients of several micro-batches.

use crate::processes::tree;
use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use std::marker::PhantomData;

/// Adds up the gradients of `count` micro-batches, which `next` computes, in the order of the [tree].
pub(super) fn sum<B: AutodiffBackend, M: AutodiffModule<B>>(
    model: &M,
    count: usize,
    mut next: impl FnMut() -> GradientsParams,
) -> GradientsParams {
    let mut add = |sum, terms| added::<B, M>(sum, terms, model);
    tree::sum(count, &mut next, &mut add)
}

/// Adds `terms`, the gradients of a module's parameters, to `sum`.
pub(super) fn added<B: AutodiffBackend, M: AutodiffModule<B>>(
    mut sum: GradientsParams,
    mut terms: GradientsParams,
    module: &M,
) -> GradientsParams {
    module.visit(&mut Add::<B> {
        sum: &mut sum,
        terms: &mut terms,
        backend: PhantomData,
    });
    sum
}

/// Divides a sum of gradients by `count`.
pub(super) fn divided<B: AutodiffBackend, M: AutodiffModule<B>>(
    mut sum: GradientsParams,
    model: &M,
    count: usize,
) -> GradientsParams {
    if count > 1 {
        model.visit(&mut Scale::<B> {
            gradients: &mut sum,
            factor: 1.0 / count as f64,
            backend: PhantomData,
        });
    }
    sum
}

struct Add<'a, B> {
    sum: &'a mut GradientsParams,
    terms: &'a mut GradientsParams,
    backend: PhantomData<B>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Add<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        // A parameter that a micro-batch does not reach has no gradient in it.
        let Some(term) = self.terms.remove::<B::InnerBackend, D>(param.id) else {
            return;
        };
        let sum = match self.sum.remove::<B::InnerBackend, D>(param.id) {
            Some(sum) => sum + term,
            None => term,
        };
        self.sum.register(param.id, sum);
    }
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
