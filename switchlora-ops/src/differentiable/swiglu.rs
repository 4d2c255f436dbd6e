//! SwiGLU as a node.

use super::Differentiable;
use super::node::{Autodiff, CheckpointStrategy, Traced, node};
use crate::kernels::{Kernels, SwiGluBackward};
use crate::operations::SwiGlu;
use crate::primitive::primitive;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

impl<K: Backend, C: CheckpointStrategy> SwiGlu<Autodiff<K, C>> for Differentiable
where
    Kernels: SwiGluBackward<K>,
{
    fn swiglu(&self, gate: Traced<K, C, 2>, up: Traced<K, C, 2>) -> Traced<K, C, 2> {
        let parents = [&gate, &up].map(|parent| primitive(parent.clone()));
        let [gate, up] = [gate, up].map(Tensor::inner);
        let y = Kernels.swiglu(gate.clone(), up.clone());
        node(parents, y, move |dy, _| {
            let gradients = Kernels.swiglu_backward(gate, up, dy);
            gradients.map(|gradient| Some(primitive(gradient)))
        })
    }
}
