//! The spare candidate vectors of one side of a layer, `[min(m, n) - rank, length]`, on the device or in host memory.
//!
//! A pool is read and written a few rows at a time, never copied. In host memory the rows that leave a layer are read
//! back by the reader thread, those of all layers together, and are waited for only when the walk comes round to them.

use crate::deferred::Deferred;
use crate::optim::Guard;
use crate::switch::{Exchange, Source};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use switchlora_ops::{gather_rows, scatter_rows};

/// Where the spare vectors are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolPlacement {
    /// Beside the weights: nothing crosses the bus, `2 (min(m, n) - r)` vectors a layer of device memory.
    #[default]
    Device,
    /// In host memory: the few vectors of an update cross the bus.
    Host,
}

/// The spare vectors of one side of one layer.
#[derive(Clone, Debug)]
pub(crate) enum Candidates<B: Backend> {
    Device(Tensor<B, 2>),
    Host(HostPool),
}

/// Spare vectors in host memory, with those that are still on their way.
#[derive(Clone, Debug)]
pub(crate) struct HostPool {
    /// `[spare, length]`, row by row.
    rows: Vec<f32>,
    length: usize,
    arriving: Vec<Arrival>,
}

/// Rows that left a layer and have not been written to the pool yet.
#[derive(Clone, Debug)]
struct Arrival {
    positions: Vec<usize>,
    rows: Deferred<Option<TensorData>>,
}

impl<B: Backend> Candidates<B> {
    /// A pool with the given vectors, `[spare, length]`.
    pub fn new(rows: TensorData, placement: PoolPlacement, device: &B::Device) -> Self {
        match placement {
            PoolPlacement::Device => Self::Device(Tensor::from_data(rows, device)),
            PoolPlacement::Host => {
                let length = rows.shape[1];
                let rows: Vec<f32> = rows.iter::<f32>().collect();
                Self::Host(HostPool {
                    rows,
                    length,
                    arriving: Vec::new(),
                })
            }
        }
    }

    /// The vectors that enter the rows of `exchange`, `[rows, length]`, where `outgoing` are those that leave.
    pub fn incoming(
        &mut self,
        exchange: &Exchange,
        outgoing: &Tensor<B, 2>,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let fresh = self.rows(&exchange.stores, device);
        if exchange.stores.len() == exchange.rows.len() {
            return fresh;
        }
        // A short pool came round within this update: some rows receive what another has just left behind.
        let fresh_count = exchange.stores.len();
        let order = exchange.incoming.iter().map(|source| match *source {
            Source::Pool(position) => exchange
                .stores
                .iter()
                .position(|store| store.0 == position)
                .unwrap_or_default() as i64,
            Source::Outgoing(j) => (fresh_count + j) as i64,
        });
        let order: Vec<i64> = order.collect();
        let order = Tensor::<B, 1, Int>::from_data(order.as_slice(), device);
        Tensor::cat(vec![fresh, outgoing.clone()], 0).select(0, order)
    }

    /// Puts the vectors that leave into the pool, where the pool is on the device.
    ///
    /// For a host pool it returns them instead, `[stores, length]`, to be read back with those of other layers and
    /// handed to [`arrive`](Self::arrive).
    pub fn store(
        &mut self,
        exchange: &Exchange,
        outgoing: &Tensor<B, 2>,
        guard: &Guard<B>,
    ) -> Option<Tensor<B, 2>> {
        let from: Vec<usize> = exchange.stores.iter().map(|store| store.1).collect();
        let leaving = gather_rows(outgoing, &from);
        match self {
            Self::Device(pool) => {
                let positions: Vec<usize> = exchange.stores.iter().map(|store| store.0).collect();
                let leaving = match guard {
                    Guard::Known { .. } => leaving,
                    Guard::Later { .. } => {
                        guard.choose(leaving, Some(gather_rows(pool, &positions)))
                    }
                };
                // Taken out, so that the pool has one owner and is written in place.
                let device = pool.device();
                let taken = std::mem::replace(pool, Tensor::zeros([1, 1], &device));
                *pool = scatter_rows(taken, &positions, leaving);
                None
            }
            Self::Host(_) => Some(leaving),
        }
    }

    /// Announces rows on their way to the given positions of a host pool; `None` in the end if the update was refused.
    pub fn arrive(&mut self, positions: Vec<usize>, rows: Deferred<Option<TensorData>>) {
        if let Self::Host(pool) = self {
            pool.settle(|arrival| arrival.rows.is_ready());
            pool.arriving.push(Arrival { positions, rows });
        }
    }

    /// Every spare vector, `[spare, length]`; waits for those on their way.
    pub fn to_data(&self) -> TensorData {
        match self {
            Self::Device(pool) => pool.to_data(),
            Self::Host(pool) => {
                let mut pool = pool.clone();
                pool.settle(|_| true);
                let shape = [pool.rows.len() / pool.length, pool.length];
                TensorData::new(pool.rows, shape)
            }
        }
    }

    fn rows(&mut self, stores: &[(usize, usize)], device: &B::Device) -> Tensor<B, 2> {
        let wanted: Vec<usize> = stores.iter().map(|store| store.0).collect();
        match self {
            Self::Device(pool) => gather_rows(pool, &wanted),
            Self::Host(pool) => {
                while pool
                    .arriving
                    .iter()
                    .any(|arrival| arrival.positions.iter().any(|p| wanted.contains(p)))
                {
                    let mut first = true;
                    pool.settle(|_| std::mem::take(&mut first));
                }
                let rows: Vec<f32> = wanted
                    .iter()
                    .flat_map(|p| &pool.rows[p * pool.length..(p + 1) * pool.length])
                    .copied()
                    .collect();
                let rows = TensorData::new(rows, [wanted.len(), pool.length]);
                Tensor::from_data(rows, device)
            }
        }
    }
}

impl HostPool {
    /// Writes arrivals into the pool, oldest first, for as long as `due` says so.
    fn settle(&mut self, mut due: impl FnMut(&Arrival) -> bool) {
        let settled = self.arriving.iter().take_while(|a| due(a)).count();
        for arrival in self.arriving.drain(..settled) {
            let Some(rows) = arrival.rows.get() else {
                continue;
            };
            let values: Vec<f32> = rows.iter::<f32>().collect();
            for (position, row) in arrival.positions.iter().zip(values.chunks(self.length)) {
                self.rows[position * self.length..][..self.length].copy_from_slice(row);
            }
        }
    }
}
