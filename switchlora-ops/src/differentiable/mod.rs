//! The operations under autodiff over a backend with kernels: each one node of the graph, with the backward that the
//! backend computes. The only place where a graph is known.

mod attention;
mod cross_entropy;
mod embedding;
mod norm;
mod projection;
mod swiglu;

use crate::kernels::Kernels;
use crate::operations::Operations;
use crate::plain::Plain;
use crate::primitive::{primitive, tensor};
use crate::{AdamWRows, Attention, Moments, Precision, Projection};
use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor};

/// Adds what a backward has computed to the gradients of those parents that are trained.
fn register<K: Kernels, const N: usize>(
    gradients: &mut Gradients,
    parents: [Option<NodeId>; N],
    computed: [Option<FloatTensor<K>>; N],
) {
    for (parent, gradient) in parents.into_iter().zip(computed) {
        if let (Some(parent), Some(gradient)) = (parent, gradient) {
            gradients.register::<K>(parent, gradient);
        }
    }
}

/// Kernels, each behind a node of the graph, with products in a precision.
pub(crate) struct Differentiable(pub Precision);

impl<K: Kernels, C: CheckpointStrategy> Operations<Autodiff<K, C>> for Differentiable {
    fn embedding(
        &self,
        weight: Tensor<Autodiff<K, C>, 2>,
        tokens: Tensor<Autodiff<K, C>, 1, Int>,
    ) -> Tensor<Autodiff<K, C>, 2> {
        let [vocabulary, _] = weight.dims();
        let tokens = tokens.into_primitive();
        tensor(embedding::embedding::<K, C>(
            primitive(weight),
            vocabulary,
            tokens,
        ))
    }

    fn rms_norm(
        &self,
        x: Tensor<Autodiff<K, C>, 2>,
        weight: Tensor<Autodiff<K, C>, 1>,
        epsilon: f64,
    ) -> Tensor<Autodiff<K, C>, 2> {
        let (x, weight) = (primitive(x), primitive(weight));
        tensor(norm::rms_norm::<K, C>(x, weight, epsilon))
    }

    fn swiglu(
        &self,
        gate: Tensor<Autodiff<K, C>, 2>,
        up: Tensor<Autodiff<K, C>, 2>,
    ) -> Tensor<Autodiff<K, C>, 2> {
        tensor(swiglu::swiglu::<K, C>(primitive(gate), primitive(up)))
    }

    fn causal_attention(&self, attention: Attention<Autodiff<K, C>>) -> Tensor<Autodiff<K, C>, 2> {
        tensor(attention::causal_attention::<K, C>(attention, self.0))
    }

    fn linear_cross_entropy(
        &self,
        hidden: Tensor<Autodiff<K, C>, 2>,
        weight: Tensor<Autodiff<K, C>, 2>,
        targets: Tensor<Autodiff<K, C>, 1, Int>,
    ) -> Tensor<Autodiff<K, C>, 1> {
        let (hidden, weight) = (primitive(hidden), primitive(weight));
        let targets = targets.into_primitive();
        tensor(cross_entropy::linear_cross_entropy::<K, C>(
            hidden, weight, &targets, self.0,
        ))
    }

    fn projections(
        &self,
        x: Tensor<Autodiff<K, C>, 2>,
        projections: Vec<Projection<Autodiff<K, C>>>,
    ) -> Vec<Tensor<Autodiff<K, C>, 2>> {
        let outputs = projection::projections::<K, C>(primitive(x), projections, self.0);
        outputs.into_iter().map(tensor).collect()
    }

    fn adamw(
        &self,
        parameter: Tensor<Autodiff<K, C>, 2>,
        gradient: Tensor<Autodiff<K, C>, 2>,
        moments: Option<Moments<Autodiff<K, C>>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<Autodiff<K, C>, 1>>,
    ) -> (Tensor<Autodiff<K, C>, 2>, Moments<Autodiff<K, C>>) {
        let moments = moments.map(|m| Moments {
            first: m.first.inner(),
            second: m.second.inner(),
        });
        let verdict = verdict.map(Tensor::inner);
        let (parameter, gradient) = (parameter.inner(), gradient.inner());
        let (parameter, moments) = crate::adamw(parameter, gradient, moments, rows, verdict);
        let moments = Moments {
            first: Tensor::from_inner(moments.first),
            second: Tensor::from_inner(moments.second),
        };
        (Tensor::from_inner(parameter), moments)
    }

    fn gather_rows(
        &self,
        matrix: &Tensor<Autodiff<K, C>, 2>,
        rows: &[usize],
    ) -> Tensor<Autodiff<K, C>, 2> {
        Plain(Precision::F32).gather_rows(matrix, rows)
    }

    fn scatter_rows(
        &self,
        matrix: Tensor<Autodiff<K, C>, 2>,
        rows: &[usize],
        values: Tensor<Autodiff<K, C>, 2>,
    ) -> Tensor<Autodiff<K, C>, 2> {
        Plain(Precision::F32).scatter_rows(matrix, rows, values)
    }

    fn sum_of_squares(&self, x: Tensor<Autodiff<K, C>, 2>) -> Tensor<Autodiff<K, C>, 1> {
        Plain(Precision::F32).sum_of_squares(x)
    }

    fn add_product(
        &self,
        weight: Tensor<Autodiff<K, C>, 2>,
        left: Tensor<Autodiff<K, C>, 2>,
        right: Tensor<Autodiff<K, C>, 2>,
    ) -> Tensor<Autodiff<K, C>, 2> {
        Plain(Precision::F32).add_product(weight, left, right)
    }
}
