//! SwiGLU as a node.

use super::register;
use crate::kernels::Kernels;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

#[derive(Debug)]
struct SwiGlu;

impl<K: Kernels> Backward<K, 2> for SwiGlu {
    type State = [FloatTensor<K>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let [gate, up] = ops.state;
        let computed = K::swiglu_backward(&gate, &up, dy);
        let parents = ops.parents.map(|parent| Some(parent?.id));
        register::<K, _>(gradients, parents, computed.map(Some));
    }
}

pub(super) fn swiglu<K: Kernels, C: CheckpointStrategy>(
    gate: FloatTensor<Autodiff<K, C>>,
    up: FloatTensor<Autodiff<K, C>>,
) -> FloatTensor<Autodiff<K, C>> {
    let nodes = [gate.node.clone(), up.node.clone()];
    let (gate, up) = (gate.primitive, up.primitive);
    let y = K::swiglu(&gate, &up);
    let prepared = Backward::<K, 2>::prepare::<C>(SwiGlu, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish([gate, up], y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    }
}
