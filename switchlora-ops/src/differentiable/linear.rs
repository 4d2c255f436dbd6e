//! A linear layer as a node.

use super::register;
use crate::kernels::Kernels;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

#[derive(Debug)]
struct Linear;

impl<K: Kernels> Backward<K, 2> for Linear {
    type State = [FloatTensor<K>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let [x, weight] = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let computed = K::linear_backward(&x, &weight, dy, wanted);
        let parents = ops.parents.map(|parent| Some(parent?.id));
        register::<K, _>(gradients, parents, computed);
    }
}

pub(super) fn linear<K: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<K, C>>,
    weight: FloatTensor<Autodiff<K, C>>,
) -> FloatTensor<Autodiff<K, C>> {
    let nodes = [x.node.clone(), weight.node.clone()];
    let (x, weight) = (x.primitive, weight.primitive);
    let y = <K as Kernels>::linear(&x, &weight);
    let prepared = Backward::<K, 2>::prepare::<C>(Linear, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish([x, weight], y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    }
}
