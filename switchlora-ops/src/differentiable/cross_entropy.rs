//! The output layer and its loss as one node. The forward computes the gradients for a gradient of one, while it has the
//! logits of a few tokens. The backward multiplies them by the gradient of the loss.

use super::Differentiable;
use super::node::{Autodiff, CheckpointStrategy, Traced, is_recorded, node};
use crate::Precision;
use crate::kernels::{Kernels, LinearCrossEntropyBackward};
use crate::operations::LinearCrossEntropy;
use crate::primitive::primitive;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

impl<K: Backend, C: CheckpointStrategy> LinearCrossEntropy<Autodiff<K, C>> for Differentiable
where
    Kernels: LinearCrossEntropyBackward<K>,
{
    fn linear_cross_entropy(
        &self,
        hidden: Traced<K, C, 2>,
        weight: Traced<K, C, 2>,
        targets: Tensor<Autodiff<K, C>, 1, Int>,
        precision: Precision,
    ) -> Traced<K, C, 1> {
        let parents = [&hidden, &weight].map(|parent| primitive(parent.clone()));
        let ([hidden, weight], targets) = ([hidden, weight].map(Tensor::inner), targets.inner());
        if !is_recorded::<K, C, 2>(&parents) {
            let loss = Kernels.linear_cross_entropy(hidden, weight, targets, precision);
            return node(parents, loss, |_, _| [None, None]);
        }
        let (loss, gradients) =
            Kernels.linear_cross_entropy_with_gradients(hidden, weight, targets, precision);
        node(parents, loss, move |dy, [of_hidden, of_weight]| {
            let [hidden, weight] = gradients;
            let scaled = |gradient| primitive(Kernels.scaled(gradient, dy.clone()));
            [
                of_hidden.then(|| scaled(hidden)),
                of_weight.then(|| scaled(weight)),
            ]
        })
    }
}
