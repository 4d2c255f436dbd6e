//! RMSNorm as a node. It keeps only its inputs, which the graph keeps anyway.

use super::Differentiable;
use super::node::{Autodiff, CheckpointStrategy, Traced, node};
use crate::kernels::{Kernels, RmsNormBackward};
use crate::operations::RmsNorm;
use crate::primitive::primitive;
use burn::tensor::backend::Backend;

impl<K: Backend, C: CheckpointStrategy> RmsNorm<Autodiff<K, C>> for Differentiable
where
    Kernels: RmsNormBackward<K>,
{
    fn rms_norm(
        &self,
        x: Traced<K, C, 2>,
        weight: Traced<K, C, 1>,
        epsilon: f64,
    ) -> Traced<K, C, 2> {
        let parents = [primitive(x.clone()), primitive(weight.clone())];
        let (x, weight) = (x.inner(), weight.inner());
        let y = Kernels.rms_norm(x.clone(), weight.clone(), epsilon);
        node(parents, y, move |dy, _| {
            let (dx, dweight) = Kernels.rms_norm_backward(x, weight, epsilon, dy);
            [Some(primitive(dx)), Some(primitive(dweight))]
        })
    }
}
