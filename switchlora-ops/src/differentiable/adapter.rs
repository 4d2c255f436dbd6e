//! An adapted linear layer as a node. Its weight is frozen and no parent.

use super::register;
use crate::Adapter;
use crate::kernels::{AdapterInputs, Kernels};
use crate::primitive::primitive;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

#[derive(Debug)]
struct AdaptedLinear;

impl<K: Kernels> Backward<K, 3> for AdaptedLinear {
    type State = (FloatTensor<K>, AdapterInputs<K>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let (x, adapter) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let computed = K::adapted_linear_backward(&x, &adapter, dy, wanted);
        let computed = [computed.x, computed.a, computed.b];
        let parents = ops.parents.map(|parent| Some(parent?.id));
        register::<K, _>(gradients, parents, computed);
    }
}

pub(super) fn adapted_linear<K: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<K, C>>,
    adapter: Adapter<Autodiff<K, C>>,
) -> FloatTensor<Autodiff<K, C>> {
    let [weight, a, b] = [adapter.weight, adapter.a, adapter.b].map(primitive);
    let nodes = [&x, &a, &b].map(|parent| parent.node.clone());
    let x = x.primitive;
    let adapter = AdapterInputs {
        weight: weight.primitive,
        a: a.primitive,
        b: b.primitive,
        scale: adapter.scale,
    };
    let y = K::adapted_linear(&x, &adapter);
    let prepared = Backward::<K, 3>::prepare::<C>(AdaptedLinear, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((x, adapter), y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    }
}
