//! Projections of one input as one node, and one more node per output.
//!
//! A node of burn-autodiff has one output. So the node of all projections has an empty output, and the nodes of the real
//! outputs have it as their parent. Their backwards store the gradients that arrive. The backward of the shared node, which
//! runs after all of them, takes the stored gradients.

use super::Differentiable;
use super::node::{Autodiff, CheckpointStrategy, Parent, Traced, node};
use crate::kernels::{Kernels, ProjectionsBackward};
use crate::operations::Projections;
use crate::primitive::primitive;
use crate::{Adapter, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// Maximal number of projections per node: `x` and two factors of each are seven parents.
const TOGETHER: usize = 3;

impl<K: Backend, C: CheckpointStrategy> Projections<Autodiff<K, C>> for Differentiable
where
    Kernels: ProjectionsBackward<K>,
{
    fn projections(
        &self,
        x: Traced<K, C, 2>,
        projections: Vec<Projection<Autodiff<K, C>>>,
        precision: Precision,
    ) -> Vec<Traced<K, C, 2>> {
        let mut projections = projections.into_iter().peekable();
        let mut outputs = vec![];
        while projections.peek().is_some() {
            let mut parents = vec![primitive(x.clone())];
            let group = projections.by_ref().take(TOGETHER);
            let group = group
                .map(|projection| inner(projection, &mut parents))
                .collect();
            let x = x.clone().inner();
            outputs.extend(match parents.len() {
                2 => together::<K, C, 2>(parents, x, group, precision),
                3 => together::<K, C, 3>(parents, x, group, precision),
                4 => together::<K, C, 4>(parents, x, group, precision),
                5 => together::<K, C, 5>(parents, x, group, precision),
                6 => together::<K, C, 6>(parents, x, group, precision),
                _ => together::<K, C, 7>(parents, x, group, precision),
            });
        }
        outputs
    }
}

/// The projection without its graph. Adds its trained tensors to `parents`.
fn inner<K: Backend, C: CheckpointStrategy>(
    projection: Projection<Autodiff<K, C>>,
    parents: &mut Vec<Parent<K, C>>,
) -> Projection<K> {
    let Projection { weight, adapter } = projection;
    match &adapter {
        Some(Adapter { a, b, .. }) => parents.extend([a, b].map(|one| primitive(one.clone()))),
        None => parents.push(primitive(weight.clone())),
    }
    Projection {
        weight: weight.inner(),
        adapter: adapter.map(|Adapter { a, b, scale }| Adapter {
            a: a.inner(),
            b: b.inner(),
            scale,
        }),
    }
}

/// The outputs of projections with `N` parents together.
fn together<K: Backend, C: CheckpointStrategy, const N: usize>(
    parents: Vec<Parent<K, C>>,
    x: Tensor<K, 2>,
    projections: Vec<Projection<K>>,
    precision: Precision,
) -> Vec<Traced<K, C, 2>>
where
    Kernels: ProjectionsBackward<K>,
{
    let parents: Result<[_; N], _> = parents.try_into();
    let parents = parents.unwrap_or_else(|_| unreachable!("one of two to seven parents"));
    let outputs = Kernels.projections(x.clone(), projections.clone(), precision);
    // The gradient of each output, once it has arrived.
    let arrived: Arc<Mutex<Vec<Option<Tensor<K, 2>>>>> =
        Arc::new(Mutex::new(vec![None; outputs.len()]));
    let empty = Tensor::<K, 1>::empty([1], (&x.device(), DType::F32));
    let all_arrived = arrived.clone();
    let shared = node::<K, C, _, N, 1>(parents, empty.clone(), move |_, wanted| {
        let mut arrived = all_arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let dy = std::mem::take(&mut *arrived);
        let computed = Kernels.projections_backward(x, projections, dy, &wanted, precision);
        let mut computed = computed.into_iter();
        wanted.map(|_| computed.next().flatten().map(primitive))
    });
    let outputs = outputs.into_iter().enumerate().map(|(index, y)| {
        let (arrived, empty) = (arrived.clone(), empty.clone());
        node(
            [primitive(shared.clone())],
            y,
            move |dy: Tensor<K, 2>, _| {
                let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
                // One gradient is enough to make the shared node run, and no second one has to be added to it.
                let first = arrived.iter().all(Option::is_none);
                arrived[index] = Some(dy);
                [first.then(|| primitive(empty))]
            },
        )
    });
    outputs.collect()
}
