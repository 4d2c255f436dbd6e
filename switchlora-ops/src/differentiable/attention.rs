//! Attention as a node. Only its inputs are kept: the backward makes the scores again, block by block.

use super::register;
use crate::kernels::{AttentionInputs, Kernels};
use crate::primitive::primitive;
use crate::{Attention, Precision};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

#[derive(Debug)]
struct CausalAttention;

impl<K: Kernels> Backward<K, 3> for CausalAttention {
    type State = AttentionInputs<K>;

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let computed = K::causal_attention_backward(&ops.state, dy);
        let parents = ops.parents.map(|parent| Some(parent?.id));
        register::<K, _>(gradients, parents, computed.map(Some));
    }
}

pub(super) fn causal_attention<K: Kernels, C: CheckpointStrategy>(
    attention: Attention<Autodiff<K, C>>,
    precision: Precision,
) -> FloatTensor<Autodiff<K, C>> {
    let Attention {
        q,
        k,
        v,
        tables,
        heads,
    } = attention;
    let parents = [q, k, v].map(primitive);
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let [q, k, v] = parents.map(|parent| parent.primitive);
    let [cos, sin] = [tables.cos, tables.sin].map(|table| primitive(table).primitive);
    let inputs = AttentionInputs {
        q,
        k,
        v,
        cos,
        sin,
        heads,
        precision,
    };
    let y = K::causal_attention(&inputs);
    let prepared = Backward::<K, 3>::prepare::<C>(CausalAttention, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(inputs, y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    }
}
