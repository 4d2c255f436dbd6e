//! What the norm of all gradients is made of.

use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use switchlora_ops::sum_of_squares;

/// The sum of squares of each gradient of `module` that there is, `[1]` each, in the order of the walk, as
/// [`ClipGradNorm`](crate::ClipGradNorm) adds them up on a CPU.
pub fn gradient_squares<M: AutodiffModule<B>, B: AutodiffBackend>(
    module: &M,
    gradients: &GradientsParams,
) -> Vec<Tensor<B::InnerBackend, 1>> {
    let mut all = Matrices::<B>::of(gradients);
    module.visit(&mut all);
    all.found.into_iter().map(sum_of_squares).collect()
}

/// Collects the gradients as matrices `[rows, columns]`.
pub(super) struct Matrices<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    pub found: Vec<Tensor<B::InnerBackend, 2>>,
}

impl<'a, B: AutodiffBackend> Matrices<'a, B> {
    /// None yet of these gradients.
    pub fn of(gradients: &'a GradientsParams) -> Self {
        Self {
            gradients,
            found: Vec::new(),
        }
    }

    /// Adds the gradient with this id, if there is one.
    pub fn add<const D: usize>(&mut self, id: ParamId) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(id) {
            let rows = gradient.dims()[0].max(1);
            let columns = gradient.shape().num_elements() / rows;
            self.found.push(gradient.reshape([rows, columns]));
        }
    }
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Matrices<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.add::<D>(param.id);
    }
}
