//! The exchange itself: vectors move between a layer and its pools, and the weight absorbs the difference.

use super::guard::Guard;
use crate::candidates::Candidates;
use crate::deferred::Deferred;
use crate::layers::LoraLayer;
use crate::switch::{Exchange, LayerSwitch};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, Transaction};
use std::sync::Arc;
use switchlora_ops::{add_product, gather_rows};

/// The spare vectors of both sides of a layer.
#[derive(Clone, Debug)]
pub(super) struct Pools<B: Backend> {
    pub a: Candidates<B>,
    pub b: Candidates<B>,
}

/// What an exchange gives one layer.
pub(super) struct Entered<B: Backend> {
    /// What the weight absorbs.
    pub absorbed: Absorbed<B>,
    /// Rows of A and the vectors that enter them.
    pub a: Option<(Vec<usize>, Tensor<B, 2>)>,
    /// Rows of B and the vectors that enter them.
    pub b: Option<(Vec<usize>, Tensor<B, 2>)>,
    /// Vectors that leave for a pool in host memory, of A and of B.
    pub to_host: [Option<Tensor<B, 2>>; 2],
}

/// A change of a weight, `leftᵀ right`, `[d_input, d_output]`.
pub(super) struct Absorbed<B: Backend> {
    /// `[k, d_input]`.
    pub left: Tensor<B, 2>,
    /// `[k, d_output]`.
    pub right: Tensor<B, 2>,
    /// What is left of the weight before the change: 1 without weight decay.
    pub remaining: f64,
}

impl<B: Backend> Absorbed<B> {
    /// The weight after the change; in place if nobody else holds it.
    pub fn by(self, weight: Tensor<B, 2>, guard: &Guard<B>) -> Tensor<B, 2> {
        if self.remaining == 1.0 {
            // Refused, nothing is added: less is chosen than of whole weights, and those change in place.
            let nothing = matches!(guard, Guard::Later { .. }).then(|| self.left.zeros_like());
            let left = guard.choose(self.left, nothing);
            return add_product(weight, left, self.right);
        }
        let old = guard.keep(&weight);
        guard.choose(
            add_product(weight * self.remaining, self.left, self.right),
            old,
        )
    }
}

impl<B: Backend> Pools<B> {
    /// `W + s (A_out - A_in)ᵀ B + s Aᵀ (B_out - B_in)` over the exchanged rows, in one product of rank `2 k`.
    ///
    /// The rows that A and B exchange in one update are different ones, so the order of the sides does not matter.
    pub fn exchange(
        &mut self,
        layer: &LoraLayer<B>,
        switch: &LayerSwitch,
        scale: f64,
        guard: &Guard<B>,
    ) -> Entered<B> {
        let (a, b) = (&layer.a.1, &layer.b.1);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let a_side = switch_side(&mut self.a, &switch.a, a, b, guard);
        let b_side = switch_side(&mut self.b, &switch.b, b, a, guard);
        let mut entered = [None, None];
        let mut to_host = [None, None];
        if let Some(side) = a_side {
            left.push(side.difference);
            right.push(side.counterparts);
            entered[0] = Some((switch.a.rows.clone(), side.incoming));
            to_host[0] = side.to_host;
        }
        if let Some(side) = b_side {
            left.push(side.counterparts);
            right.push(side.difference);
            entered[1] = Some((switch.b.rows.clone(), side.incoming));
            to_host[1] = side.to_host;
        }
        let [a, b] = entered;
        Entered {
            absorbed: Absorbed {
                left: Tensor::cat(left, 0),           // [2 k, d_input]
                right: Tensor::cat(right, 0) * scale, // [2 k, d_output]
                remaining: 1.0,
            },
            a,
            b,
            to_host,
        }
    }
}

/// What the exchange of one side gives.
struct Side<B: Backend> {
    /// The vectors that leave less those that enter, `[k, length]`.
    difference: Tensor<B, 2>,
    /// The rows of the other side that belong to them, `[k, other length]`.
    counterparts: Tensor<B, 2>,
    /// The vectors that enter, `[k, length]`.
    incoming: Tensor<B, 2>,
    /// Those that leave, if their pool is in host memory.
    to_host: Option<Tensor<B, 2>>,
}

/// Exchanges the vectors of one side, if it exchanges any.
fn switch_side<B: Backend>(
    pool: &mut Candidates<B>,
    exchange: &Exchange,
    side: &Tensor<B, 2>,
    other: &Tensor<B, 2>,
    guard: &Guard<B>,
) -> Option<Side<B>> {
    if exchange.rows.is_empty() {
        return None;
    }
    let outgoing = gather_rows(side, &exchange.rows); // [k, length]
    let incoming = pool.incoming(exchange, &outgoing, &side.device());
    Some(Side {
        difference: outgoing.clone() - incoming.clone(),
        counterparts: gather_rows(other, &exchange.rows),
        incoming,
        to_host: pool.store(exchange, &outgoing, guard),
    })
}

/// Vectors of all layers on their way to host pools, read back together.
pub(super) struct Leaving<B: Backend> {
    rows: Vec<Tensor<B, 2>>,
    /// Layer, whether it is side A, and the pool positions, for each of `rows`.
    to: Vec<(usize, bool, Vec<usize>)>,
}

impl<B: Backend> Default for Leaving<B> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            to: Vec::new(),
        }
    }
}

impl<B: Backend> Leaving<B> {
    pub fn add(&mut self, layer: usize, switch: &LayerSwitch, rows: [Option<Tensor<B, 2>>; 2]) {
        for (exchange, rows, is_a) in rows
            .into_iter()
            .zip([&switch.a, &switch.b])
            .zip([true, false])
            .map(|((rows, exchange), is_a)| (exchange, rows, is_a))
        {
            if let Some(rows) = rows {
                self.rows.push(rows);
                let positions = exchange.stores.iter().map(|store| store.0).collect();
                self.to.push((layer, is_a, positions));
            }
        }
    }

    /// One read for all, by the reader thread.
    pub fn send(self, pools: &mut [Option<Pools<B>>], guard: &Guard<B>) {
        if self.rows.is_empty() {
            return;
        }
        let (rows, guard) = (self.rows, guard.clone());
        let read = Deferred::read(move || {
            let rows = rows.into_iter();
            let all = rows.fold(Transaction::<B>::default(), |all, rows| all.register(rows));
            let all = all.execute();
            guard.accepted().then(|| Arc::new(all))
        });
        for (index, (layer, is_a, positions)) in self.to.into_iter().enumerate() {
            let rows = read
                .map(move |all: Option<Arc<Vec<TensorData>>>| all.map(|all| all[index].clone()));
            if let Some(pools) = &mut pools[layer] {
                match is_a {
                    true => pools.a.arrive(positions, rows),
                    false => pools.b.arrive(positions, rows),
                }
            }
        }
    }
}
