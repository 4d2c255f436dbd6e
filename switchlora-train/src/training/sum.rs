//! The mean of the gradients of several micro-batches.

use super::each::{EachGradient, Places};
use crate::processes::tree;
use burn::module::{AutodiffModule, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use std::marker::PhantomData;

/// Adds up the gradients of `count` micro-batches, which `next` computes, in the order of the [tree].
pub(super) fn sum<B: AutodiffBackend, M: AutodiffModule<B>>(
    places: &Places<'_, M>,
    count: usize,
    mut next: impl FnMut() -> GradientsParams,
) -> GradientsParams {
    let mut add = |sum, terms| added::<B, M>(sum, terms, places);
    tree::sum(count, &mut next, &mut add)
}

/// Adds `terms` to `sum`.
pub(super) fn added<B: AutodiffBackend, M: AutodiffModule<B>>(
    mut sum: GradientsParams,
    mut terms: GradientsParams,
    places: &Places<'_, M>,
) -> GradientsParams {
    places.visit(&mut Add::<B> {
        sum: &mut sum,
        terms: &mut terms,
        backend: PhantomData,
    });
    sum
}

/// Divides a sum of gradients by `count`.
pub(super) fn divided<B: AutodiffBackend, M: AutodiffModule<B>>(
    mut sum: GradientsParams,
    places: &Places<'_, M>,
    count: usize,
) -> GradientsParams {
    if count > 1 {
        places.visit(&mut Scale::<B> {
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

impl<B: AutodiffBackend> EachGradient for Add<'_, B> {
    fn each<const D: usize>(&mut self, id: ParamId) {
        // A parameter that a micro-batch does not reach has no gradient in it.
        let Some(term) = self.terms.remove::<B::InnerBackend, D>(id) else {
            return;
        };
        let sum = match self.sum.remove::<B::InnerBackend, D>(id) {
            Some(sum) => sum + term,
            None => term,
        };
        self.sum.register(id, sum);
    }
}

struct Scale<'a, B> {
    gradients: &'a mut GradientsParams,
    factor: f64,
    backend: PhantomData<B>,
}

impl<B: AutodiffBackend> EachGradient for Scale<'_, B> {
    fn each<const D: usize>(&mut self, id: ParamId) {
        if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(id) {
            self.gradients.register(id, gradient * self.factor);
        }
    }
}
