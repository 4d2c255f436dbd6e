//! The exchange itself: vectors move between a layer and its pools, and the weight absorbs the difference.

use super::guard::Guard;
use crate::candidates::{Candidates, gather};
use crate::deferred::Deferred;
use crate::layers::LoraLayer;
use crate::switch::{Exchange, LayerSwitch};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, Transaction};
use std::sync::Arc;
use switchlora_ops::add_product;

/// The spare vectors of both sides of a layer.
#[derive(Clone, Debug)]
pub(super) struct Pools<B: Backend> {
    pub a: Candidates<B>,
    pub b: Candidates<B>,
}

/// What an exchange gives one layer.
pub(super) struct Entered<B: Backend> {
    /// The new weight, `[d_input, d_output]`.
    pub weight: Tensor<B, 2>,
    /// Rows of A and the vectors that enter them.
    pub a: (Vec<usize>, Tensor<B, 2>),
    /// Rows of B and the vectors that enter them.
    pub b: (Vec<usize>, Tensor<B, 2>),
    /// Vectors that leave for a pool in host memory, of A and of B.
    pub to_host: [Option<Tensor<B, 2>>; 2],
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
        let rows = |exchange: &Exchange| exchange.rows.clone();
        let device = a.device();
        let a_out = gather(a, rows(&switch.a)); // [k, d_input]
        let b_out = gather(b, rows(&switch.b)); // [k, d_output]
        let a_in = self.a.incoming(&switch.a, &a_out, &device);
        let b_in = self.b.incoming(&switch.b, &b_out, &device);
        let left = [a_out.clone() - a_in.clone(), gather(a, rows(&switch.b))];
        let right = [gather(b, rows(&switch.a)), b_out.clone() - b_in.clone()];
        let left = Tensor::cat(left.into(), 0); // [2 k, d_input]
        let right = Tensor::cat(right.into(), 0) * scale; // [2 k, d_output]
        let weight = add_product(layer.weight.1.clone(), left, right);
        let to_host = [
            self.a.store(&switch.a, &a_out, guard),
            self.b.store(&switch.b, &b_out, guard),
        ];
        Entered {
            weight: guard.choose(weight, guard.keep(&layer.weight.1)),
            a: (rows(&switch.a), a_in),
            b: (rows(&switch.b), b_in),
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
