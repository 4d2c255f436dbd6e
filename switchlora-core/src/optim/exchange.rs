//! The exchange itself: vectors move between a layer and its pools, and the weight absorbs the difference.

use super::guard::Guard;
use crate::candidates::Candidates;
use crate::deferred::Deferred;
use crate::layers::LoraLayer;
use crate::switch::LayerSwitch;
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
    pub a: (Vec<usize>, Tensor<B, 2>),
    /// Rows of B and the vectors that enter them.
    pub b: (Vec<usize>, Tensor<B, 2>),
    /// Vectors that leave for a pool in host memory, of A and of B.
    pub to_host: [Option<Tensor<B, 2>>; 2],
}

/// A change of a weight, `leftᵀ right`, `[d_input, d_output]`.
pub(super) struct Absorbed<B: Backend> {
    /// `[2 k, d_input]`.
    left: Tensor<B, 2>,
    /// `[2 k, d_output]`.
    right: Tensor<B, 2>,
}

impl<B: Backend> Absorbed<B> {
    /// The weight after the change; in place if nobody else holds it.
    pub fn by(self, weight: Tensor<B, 2>, guard: &Guard<B>) -> Tensor<B, 2> {
        let old = guard.keep(&weight);
        guard.choose(add_product(weight, self.left, self.right), old)
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
        let (a_rows, b_rows) = (&switch.a.rows, &switch.b.rows);
        let device = a.device();
        let a_out = gather_rows(a, a_rows); // [k, d_input]
        let b_out = gather_rows(b, b_rows); // [k, d_output]
        let a_in = self.a.incoming(&switch.a, &a_out, &device);
        let b_in = self.b.incoming(&switch.b, &b_out, &device);
        let left = [a_out.clone() - a_in.clone(), gather_rows(a, b_rows)];
        let right = [gather_rows(b, a_rows), b_out.clone() - b_in.clone()];
        let left = Tensor::cat(left.into(), 0); // [2 k, d_input]
        let right = Tensor::cat(right.into(), 0) * scale; // [2 k, d_output]
        let to_host = [
            self.a.store(&switch.a, &a_out, guard),
            self.b.store(&switch.b, &b_out, guard),
        ];
        Entered {
            absorbed: Absorbed { left, right },
            a: (a_rows.clone(), a_in),
            b: (b_rows.clone(), b_in),
            to_host,
        }
    }
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
