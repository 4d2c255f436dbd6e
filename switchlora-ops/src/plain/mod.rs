//! Every operation composed of Burn's tensor operations: any backend, any dtype, with the gradients of autodiff.

mod attention;
pub(crate) mod optimizer;

pub use attention::rotate;

use crate::operations::{Embedding, LinearCrossEntropy, Projections, RmsNorm, SwiGlu};
use crate::{Adapter, Precision, Projection};
use burn::tensor::activation::{log_softmax, silu};
use burn::tensor::backend::Backend;
use burn::tensor::module::{embedding, linear};
use burn::tensor::{DType, Int, Tensor};

/// The operations composed of tensor operations.
pub(crate) struct Plain {
    /// Whether RMSNorm divides in f64. CPU backends can, and it keeps the rounding of a long chain of gradients out of
    /// comparisons between backends.
    pub norm_in_f64: bool,
}

impl<B: Backend> Embedding<B> for Plain {
    fn embedding(&self, weight: Tensor<B, 2>, tokens: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        embedding(weight, tokens.unsqueeze_dim(0)).flatten(0, 1)
    }
}

impl<B: Backend> RmsNorm<B> for Plain {
    fn rms_norm(&self, x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
        let dtype = x.dtype();
        let x = match self.norm_in_f64 {
            true => x.cast(DType::F64),
            false => x,
        };
        let mean = (x.clone() * x.clone()).mean_dim(1); // [tokens, 1]
        let root = (mean + epsilon).sqrt();
        (x / root).cast(dtype) * weight.unsqueeze()
    }
}

impl<B: Backend> SwiGlu<B> for Plain {
    fn swiglu(&self, gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
        silu(gate) * up
    }
}

impl<B: Backend> LinearCrossEntropy<B> for Plain {
    fn linear_cross_entropy(
        &self,
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
        precision: Precision,
    ) -> Tensor<B, 1> {
        let logits = project(precision.round(hidden), Projection::full(weight), precision); // [tokens, vocabulary]
        let targets = targets.unsqueeze_dim(1);
        log_softmax(logits, 1).gather(1, targets).mean().neg()
    }
}

impl<B: Backend> Projections<B> for Plain {
    fn projections(
        &self,
        x: Tensor<B, 2>,
        projections: Vec<Projection<B>>,
        precision: Precision,
    ) -> Vec<Tensor<B, 2>> {
        let x = precision.round(x);
        let projections = projections.into_iter();
        projections
            .map(|projection| project(x.clone(), projection, precision))
            .collect()
    }
}

/// One projection of an `x` that is already rounded.
fn project<B: Backend>(
    x: Tensor<B, 2>,
    projection: Projection<B>,
    precision: Precision,
) -> Tensor<B, 2> {
    let weight = match &projection.adapter {
        // A frozen weight may have another dtype, and has no gradient whatever it requires.
        Some(_) => projection.weight.detach().cast(x.dtype()),
        None => precision.round(projection.weight),
    };
    let base = precision.widen(linear(x.clone(), weight, None));
    let Some(Adapter { a, b, scale }) = projection.adapter else {
        return base;
    };
    // Scaling the narrow product is `rank / d_output` of the work of scaling the wide one.
    let narrow = linear(x, precision.round(a.transpose()), None) * scale; // [tokens, rank]
    base + precision.widen(linear(narrow, precision.round(b), None))
}
