//! Gradients of several devices, summed on one device.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::{GradientsParams, MultiGradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use std::marker::PhantomData;

/// The sum of each parameter's gradients, on the device of the parameter.
pub(crate) fn join<M, B>(module: &M, gradients: MultiGradientsParams) -> GradientsParams
where
    M: AutodiffModule<B>,
    B: AutodiffBackend,
{
    let mut join = Join::<B> {
        several: gradients,
        joined: GradientsParams::new(),
        backend: PhantomData,
    };
    module.visit(&mut join);
    join.joined
}

struct Join<B> {
    several: MultiGradientsParams,
    joined: GradientsParams,
    backend: PhantomData<B>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Join<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some((gradient, _)) = self.several.remove::<B::InnerBackend, D>(param.id) {
            // Summed where its first part was, which is not where the parameter and its moments are.
            let gradient = gradient.to_device(&param.lazy_device());
            self.joined.register(param.id, gradient);
        }
    }
}
