//! The walk over the gradients of an update.

use crate::model::LlamaForCausalLm;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use switchlora_core::MethodOptimizer;

/// What is done with each gradient.
pub(super) trait EachGradient {
    /// The gradient of `D` dimensions with this id, which may be absent.
    fn each<const D: usize>(&mut self, id: ParamId);
}

/// Where gradients belong: to the parameters of a module, and to factors that an optimizer holds.
pub(super) struct Places<'a, M> {
    pub module: &'a M,
    /// Ids of gradients of two dimensions.
    pub factors: &'a [ParamId],
}

impl<M> Places<'_, M> {
    /// Visits the parameters in the order of the module's walk, then the factors.
    pub fn visit<B: Backend>(&self, each: &mut impl EachGradient)
    where
        M: Module<B>,
    {
        self.module.visit(&mut Walk(each));
        self.factors.iter().for_each(|&id| each.each::<2>(id));
    }
}

struct Walk<'a, E>(&'a mut E);

impl<B: Backend, E: EachGradient> ModuleVisitor<B> for Walk<'_, E> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.each::<D>(param.id);
    }
}

/// What happens to gradients as soon as a backward pass, or a part of it, has computed them.
pub(crate) trait Projection<B: AutodiffBackend> {
    /// The gradients of `part`, a part of the model, as they are kept.
    fn project<N: Module<B>>(&self, part: &N, gradients: GradientsParams) -> GradientsParams;

    /// The ids of gradients that it makes.
    fn ids(&self) -> Vec<ParamId>;
}

/// Keeps gradients as they are.
impl<B: AutodiffBackend> Projection<B> for () {
    fn project<N: Module<B>>(&self, _part: &N, gradients: GradientsParams) -> GradientsParams {
        gradients
    }

    fn ids(&self) -> Vec<ParamId> {
        Vec::new()
    }
}

/// Keeps of plain weights the gradients of their factors only.
impl<B: AutodiffBackend> Projection<B> for MethodOptimizer<LlamaForCausalLm<B>, B> {
    fn project<N: Module<B>>(&self, part: &N, gradients: GradientsParams) -> GradientsParams {
        MethodOptimizer::project(self, part, gradients)
    }

    fn ids(&self) -> Vec<ParamId> {
        self.factor_ids()
    }
}
