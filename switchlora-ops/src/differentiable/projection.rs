//! Projections of one input as a node, and a node for each output.
//!
//! A node of burn-autodiff has one output. Here the node of all projections has an empty one, which the nodes of the outputs
//! have as their parent. Their backward lays down the gradient that came to them; that of the node they share, which comes
//! after them all, picks the gradients up.

use super::register;
use crate::kernels::{AdapterInputs, Kernels, ProjectionInputs};
use crate::primitive::primitive;
use crate::{Precision, Projection};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Shape};
use std::sync::{Arc, Mutex, PoisonError};

/// Projections that one node has at most: `x` and two factors of each are seven parents.
const TOGETHER: usize = 3;

/// Gradient of each output, once it has come.
type Arrived<K> = Arc<Mutex<Vec<Option<FloatTensor<K>>>>>;

/// What the backward needs.
#[derive(Clone, Debug)]
struct State<K: Kernels> {
    x: FloatTensor<K>,
    projections: Vec<ProjectionInputs<K>>,
    arrived: Arrived<K>,
    precision: Precision,
}

#[derive(Debug)]
struct Projections;

impl<K: Kernels, const N: usize> Backward<K, N> for Projections {
    type State = State<K>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<K>(&ops.node);
        let state = ops.state;
        let mut arrived = state.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let dy = std::mem::take(&mut *arrived);
        let parents = ops.parents.map(|parent| Some(parent?.id));
        let wanted = parents.each_ref().map(Option::is_some);
        let (x, precision) = (&state.x, state.precision);
        let computed = K::projections_backward(x, &state.projections, &dy, &wanted, precision);
        let computed: Result<[_; N], _> = computed.try_into();
        let computed = computed.unwrap_or_else(|_| unreachable!("a gradient for each parent"));
        register::<K, N>(gradients, parents, computed);
    }
}

/// One of the outputs, by its number.
#[derive(Debug)]
struct Output(usize);

impl<K: Kernels> Backward<K, 1> for Output {
    type State = (FloatTensor<K>, Arrived<K>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<K>(&ops.node);
        let (empty, arrived) = ops.state;
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        // One gradient is enough to call the node of all projections, and nothing has to be added.
        let empty = arrived.iter().all(Option::is_none).then_some(empty);
        arrived[self.0] = Some(dy);
        let [parent] = ops.parents;
        register::<K, 1>(gradients, [parent.map(|parent| parent.id)], [empty]);
    }
}

/// The outputs of all projections.
pub(super) fn projections<K: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<K, C>>,
    projections: Vec<Projection<Autodiff<K, C>>>,
    precision: Precision,
) -> Vec<FloatTensor<Autodiff<K, C>>> {
    let groups = projections.chunks(TOGETHER);
    let groups = groups.flat_map(|group| {
        let factors: usize = group
            .iter()
            .map(|p| 1 + usize::from(p.adapter.is_some()))
            .sum();
        let (x, group) = (x.clone(), group.to_vec());
        // As many parents as `x` and what is trained.
        match 1 + factors {
            2 => together::<K, C, 2>(x, group, precision),
            3 => together::<K, C, 3>(x, group, precision),
            4 => together::<K, C, 4>(x, group, precision),
            5 => together::<K, C, 5>(x, group, precision),
            6 => together::<K, C, 6>(x, group, precision),
            _ => together::<K, C, 7>(x, group, precision),
        }
    });
    groups.collect()
}

fn together<K: Kernels, C: CheckpointStrategy, const N: usize>(
    x: FloatTensor<Autodiff<K, C>>,
    projections: Vec<Projection<Autodiff<K, C>>>,
    precision: Precision,
) -> Vec<FloatTensor<Autodiff<K, C>>> {
    let mut parents = vec![x.node.clone()];
    let inputs = projections.into_iter().map(|projection| {
        let weight = primitive(projection.weight);
        let adapter = projection.adapter.map(|adapter| {
            let (a, b) = (primitive(adapter.a), primitive(adapter.b));
            parents.extend([a.node.clone(), b.node.clone()]);
            AdapterInputs {
                a: a.primitive,
                b: b.primitive,
                scale: adapter.scale,
            }
        });
        if adapter.is_none() {
            parents.push(weight.node.clone());
        }
        ProjectionInputs {
            weight: weight.primitive,
            adapter,
        }
    });
    let inputs: Vec<_> = inputs.collect();
    let parents: Result<[_; N], _> = parents.try_into();
    let parents = parents.unwrap_or_else(|_| unreachable!("the parents were counted"));
    let x = x.primitive;
    let outputs = K::projections(&x, &inputs, precision);
    let device = K::float_device(&x);
    let empty = K::float_empty(Shape::new([1]), &device, FloatDType::F32);
    let arrived: Arrived<K> = Arc::new(Mutex::new(vec![None; outputs.len()]));
    let state = State::<K> {
        x,
        projections: inputs,
        arrived: arrived.clone(),
        precision,
    };
    let prepared = Backward::<K, N>::prepare::<C>(Projections, parents);
    let all = match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, empty.clone()),
        OpsKind::UnTracked(prepared) => prepared.finish(empty.clone()),
    };
    let outputs = outputs.into_iter().enumerate().map(|(index, y)| {
        let prepared = Backward::<K, 1>::prepare::<C>(Output(index), [all.node.clone()]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((empty.clone(), arrived.clone()), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    });
    outputs.collect()
}
