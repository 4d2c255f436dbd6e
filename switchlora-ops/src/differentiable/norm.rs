//! RMSNorm as a node. What is kept is what the graph keeps anyway: its inputs.

use super::register;
use crate::kernels::Kernels;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

#[derive(Debug)]
struct RmsNorm;

impl<K: Kernels> Backward<K, 2> for RmsNorm {
    type State = (FloatTensor<K>, FloatTensor<K>, f64);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let (x, weight, epsilon) = ops.state;
        let computed = K::rms_norm_backward(&x, &weight, epsilon, dy);
        let parents = ops.parents.map(|parent| Some(parent?.id));
        register::<K, _>(gradients, parents, computed.map(Some));
    }
}

pub(super) fn rms_norm<K: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<K, C>>,
    weight: FloatTensor<Autodiff<K, C>>,
    epsilon: f64,
) -> FloatTensor<Autodiff<K, C>> {
    let nodes = [x.node.clone(), weight.node.clone()];
    let (x, weight) = (x.primitive, weight.primitive);
    let y = K::rms_norm(&x, &weight, epsilon);
    let prepared = Backward::<K, 2>::prepare::<C>(RmsNorm, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((x, weight, epsilon), y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    }
}
