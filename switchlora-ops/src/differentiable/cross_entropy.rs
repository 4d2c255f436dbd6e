//! The head and its loss as one node. Its gradients are computed in the forward, while the logits of a few tokens are
//! there, for a gradient of one; the backward scales them by the one that comes.

use crate::Precision;
use crate::kernels::Kernels;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::{FloatTensor, IntTensor};

#[derive(Debug)]
struct LinearCrossEntropy;

impl<K: Kernels> Backward<K, 2> for LinearCrossEntropy {
    type State = [FloatTensor<K>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let factor = gradients.consume::<K>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state) {
            if let Some(parent) = parent {
                gradients.register::<K>(parent.id, K::scaled(gradient, &factor));
            }
        }
    }
}

pub(super) fn linear_cross_entropy<K: Kernels, C: CheckpointStrategy>(
    hidden: FloatTensor<Autodiff<K, C>>,
    weight: FloatTensor<Autodiff<K, C>>,
    targets: &IntTensor<K>,
    precision: Precision,
) -> FloatTensor<Autodiff<K, C>> {
    let nodes = [hidden.node.clone(), weight.node.clone()];
    let (hidden, weight) = (hidden.primitive, weight.primitive);
    let prepared = Backward::<K, 2>::prepare::<C>(LinearCrossEntropy, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let computed = K::cross_entropy_with_gradients(&hidden, &weight, targets, precision);
            prepared.finish([computed.hidden, computed.weight], computed.loss)
        }
        OpsKind::UnTracked(prepared) => {
            prepared.finish(K::cross_entropy(&hidden, &weight, targets, precision))
        }
    }
}
