//! What the norm of all gradients is made of.

use burn::module::{ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use switchlora_ops::sum_of_squares;

/// The sum of squares of a gradient, `[1]`, as [`ClipGradNorm`](crate::ClipGradNorm) adds it to the others.
pub fn sum_of_gradient_squares<B: Backend, const D: usize>(gradient: Tensor<B, D>) -> Tensor<B, 1> {
    let rows = gradient.dims()[0].max(1);
    let columns = gradient.shape().num_elements() / rows;
    sum_of_squares(gradient.reshape([rows, columns]))
}

/// Collects the sum of squares of each gradient, `[1]` each.
pub(super) struct SumOfSquares<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    pub squares: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<'a, B: AutodiffBackend> SumOfSquares<'a, B> {
    /// Nothing yet of these gradients.
    pub fn of(gradients: &'a GradientsParams) -> Self {
        Self {
            gradients,
            squares: Vec::new(),
        }
    }

    /// Adds the gradient with this id, if there is one.
    pub fn add<const D: usize>(&mut self, id: ParamId) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(id) {
            self.squares.push(sum_of_gradient_squares(gradient));
        }
    }
}

impl<B: AutodiffBackend> ModuleVisitor<B> for SumOfSquares<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.add::<D>(param.id);
    }
}
