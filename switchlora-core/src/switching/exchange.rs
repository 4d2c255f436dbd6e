//! The exchange itself: vectors move between a layer and its pools, and the weight absorbs the difference.
//!
//! `W <- W + s (A_out - A_in)ᵀ B + s Aᵀ (B_out - B_in)` over the exchanged rows, so the layer computes what it did before
//! (Equation 2).

use super::candidates::incoming;
use super::walk::{Exchange, LayerSwitch};
use crate::layers::LoraLayer;
use crate::step::{Pool, PoolWrite, WeightWrite};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use switchlora_ops::gather_rows;

/// The writes that an exchange needs.
pub(super) struct Writes<B: Backend> {
    /// The change of the layer's weight.
    pub weight: WeightWrite<B>,
    /// Rows of A and the vectors that enter them, if A exchanges any.
    pub a: Option<(Vec<usize>, Tensor<B, 2>)>,
    /// The same for B.
    pub b: Option<(Vec<usize>, Tensor<B, 2>)>,
    /// The vectors that leave, on their way to the pools, if there are pools.
    pub pools: Vec<PoolWrite<B>>,
}

/// The writes of `switch` in layer number `index`, which has these `pools`, if any. At least one vector is exchanged.
///
/// Where `made` has vectors for a side, `[k, length]`, they enter in place of those of the pool, which are lost. A side
/// that has neither exchanges nothing.
///
/// A and B exchange different rows in one update, so the order of the sides does not matter, and the change of the weight
/// is one product of rank `2 k`.
pub(super) fn exchange<B: Backend>(
    index: usize,
    layer: &LoraLayer<B>,
    switch: &LayerSwitch,
    pools: Option<&mut [Pool<B>; 2]>,
    [made_a, made_b]: [Option<Tensor<B, 2>>; 2],
) -> Writes<B> {
    let (a, b) = (&layer.a.value, &layer.b.value);
    let (mut of_a, mut of_b) = (None, None);
    let (mut enter_a, mut enter_b) = (None, None);
    let mut stores = Vec::new();
    let has_pools = pools.is_some();
    let (pool_a, pool_b) = match pools {
        Some([a, b]) => (Some(a), Some(b)),
        None => (None, None),
    };
    if let Some(side) = Side::of(&switch.a, a, b, pool_a, made_a) {
        of_a = Some([side.difference, side.counterparts]);
        enter_a = Some((switch.a.rows.clone(), side.incoming));
        stores.extend(has_pools.then(|| write_back(index, 0, &switch.a, &side.outgoing)));
    }
    if let Some(side) = Side::of(&switch.b, b, a, pool_b, made_b) {
        of_b = Some([side.counterparts, side.difference]);
        enter_b = Some((switch.b.rows.clone(), side.incoming));
        stores.extend(has_pools.then(|| write_back(index, 1, &switch.b, &side.outgoing)));
    }
    // [k, d_input] and [k, d_output] of each side
    let weight = match (of_a, of_b) {
        (Some(of_a), Some(of_b)) => WeightWrite::AddProducts {
            pairs: [of_a, of_b],
            scale: layer.scale,
        },
        (Some([left, right]), None) | (None, Some([left, right])) => WeightWrite::AddProduct {
            left,
            right: right * layer.scale,
        },
        (None, None) => unreachable!("at least one vector is exchanged"),
    };
    Writes {
        weight,
        a: enter_a,
        b: enter_b,
        pools: stores,
    }
}

/// The vectors of one side of an exchange.
struct Side<B: Backend> {
    /// The vectors that leave, `[k, length]`.
    outgoing: Tensor<B, 2>,
    /// The vectors that enter, `[k, length]`.
    incoming: Tensor<B, 2>,
    /// `outgoing - incoming`, `[k, length]`.
    difference: Tensor<B, 2>,
    /// The same rows of the other side, `[k, other length]`.
    counterparts: Tensor<B, 2>,
}

impl<B: Backend> Side<B> {
    /// The exchange between the rows of `side` and its pool, if any vector is exchanged.
    fn of(
        exchange: &Exchange,
        side: &Tensor<B, 2>,
        other: &Tensor<B, 2>,
        pool: Option<&mut Pool<B>>,
        made: Option<Tensor<B, 2>>,
    ) -> Option<Self> {
        if exchange.rows.is_empty() {
            return None;
        }
        let outgoing = gather_rows(side, &exchange.rows);
        let incoming = match (made, pool) {
            (Some(made), _) => made,
            (None, pool) => incoming(pool?, exchange, &outgoing),
        };
        Some(Self {
            difference: outgoing.clone() - incoming.clone(),
            counterparts: gather_rows(other, &exchange.rows),
            outgoing,
            incoming,
        })
    }
}

/// Puts vectors that leave a layer into its pool.
fn write_back<B: Backend>(
    layer: usize,
    side: usize,
    exchange: &Exchange,
    outgoing: &Tensor<B, 2>,
) -> PoolWrite<B> {
    let (positions, rows): (Vec<_>, Vec<_>) = exchange.stores.iter().copied().unzip();
    // Unless the pool came round within this update, it takes all of them in their order.
    let vectors = match rows.iter().copied().eq(0..exchange.rows.len()) {
        true => outgoing.clone(),
        false => gather_rows(outgoing, &rows),
    };
    PoolWrite {
        layer,
        side,
        positions,
        vectors,
    }
}
