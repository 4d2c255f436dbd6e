//! A node of the autodiff graph, from the tensors that it needs and a function that computes their gradients.

use crate::primitive::{primitive, tensor};
pub(super) use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
pub(super) use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use std::fmt::{Debug, Formatter, Result};
use std::marker::PhantomData;

/// A tensor in the graph.
pub(super) type Traced<K, C, const D: usize> = Tensor<Autodiff<K, C>, D>;

/// A tensor in the graph that a node depends on.
pub(super) type Parent<K, C> = FloatTensor<Autodiff<K, C>>;

/// The gradients of the `N` parents of a node, in order; `None` where there is none.
pub(super) type ParentGradients<K, const N: usize> = [Option<FloatTensor<K>>; N];

/// Whether the graph records the operations on these tensors, because one of them needs a gradient.
pub(super) fn is_recorded<K: Backend, C: CheckpointStrategy, const N: usize>(
    parents: &[Parent<K, C>; N],
) -> bool {
    parents
        .iter()
        .any(|parent| !parent.node.requirement.is_none())
}

/// Adds a node to the graph: the result `y` of an operation on `parents`.
///
/// `backward` gets the gradient of `y` and a flag per parent whether its gradient is wanted. It holds what it needs until then.
/// It returns a gradient per parent; those that are not wanted are ignored.
pub(super) fn node<K, C, F, const N: usize, const D: usize>(
    parents: [Parent<K, C>; N],
    y: Tensor<K, D>,
    backward: F,
) -> Traced<K, C, D>
where
    K: Backend,
    C: CheckpointStrategy,
    F: FnOnce(Tensor<K, D>, [bool; N]) -> ParentGradients<K, N> + Clone + Send + 'static,
{
    let nodes = parents.map(|parent| parent.node);
    let prepared = Node::<F, D>(PhantomData).prepare::<C>(nodes);
    tensor(match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(State(backward), primitive(y)),
        OpsKind::UnTracked(prepared) => prepared.finish(primitive(y)),
    })
}

/// An operation with the backward `F`, whose result has `D` dimensions.
struct Node<F, const D: usize>(PhantomData<fn() -> F>);

/// The backward of a node, with the tensors that it holds.
#[derive(Clone)]
struct State<F>(F);

impl<F, const D: usize> Debug for Node<F, D> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str("Node")
    }
}

impl<F> Debug for State<F> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str("State")
    }
}

impl<K, F, const N: usize, const D: usize> Backward<K, N> for Node<F, D>
where
    K: Backend,
    F: FnOnce(Tensor<K, D>, [bool; N]) -> ParentGradients<K, N> + Clone + Send + 'static,
{
    type State = State<F>;

    fn backward(self, ops: Ops<State<F>, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let State(backward) = ops.state;
        let computed = backward(tensor(dy), wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(computed) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<K>(parent.id, gradient);
            }
        }
    }
}
