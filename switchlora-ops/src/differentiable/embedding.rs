//! Rows of a table as a node.

use crate::kernels::Kernels;
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::{FloatTensor, IntTensor};

#[derive(Debug)]
struct Embedding;

impl<K: Kernels> Backward<K, 1> for Embedding {
    /// The tokens, and the rows of the table.
    type State = (IntTensor<K>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let (tokens, vocabulary) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let computed = <K as Kernels>::embedding_backward(&tokens, vocabulary, dy);
            gradients.register::<K>(parent.id, computed);
        }
    }
}

pub(super) fn embedding<K: Kernels, C: CheckpointStrategy>(
    weight: FloatTensor<Autodiff<K, C>>,
    vocabulary: usize,
    tokens: IntTensor<K>,
) -> FloatTensor<Autodiff<K, C>> {
    let nodes = [weight.node.clone()];
    let y = <K as Kernels>::embedding(&weight.primitive, &tokens);
    let prepared = Backward::<K, 1>::prepare::<C>(Embedding, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((tokens, vocabulary), y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    }
}
