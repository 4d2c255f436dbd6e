//! Pools of vectors, `[vectors, length]` each, on the device or in host memory.
//!
//! A pool is read and written a few vectors at a time, never copied. It may hold its vectors in [fewer bits](PoolPrecision):
//! a vector that enters a layer then has the rounded values, which the weight absorbs as they are, and one that leaves is
//! rounded. Vectors that
//! enter a pool in host memory are read back by the reader thread, those of all pools together, and are waited for only
//! when they are needed again.

mod device;
mod host;
mod precision;
mod vectors;

pub use precision::PoolPrecision;

use super::deferred::Deferred;
use super::guard::Guard;
use super::plan::PoolWrite;
use crate::record::{HeldVectors, read_all};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use device::DevicePool;
use host::HostPool;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where the spare candidate vectors are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolPlacement {
    /// Beside the weights: nothing crosses the bus; takes `2 (min(m, n) - r)` vectors of device memory for each layer.
    #[default]
    Device,
    /// In host memory: the few vectors of an update cross the bus.
    Host,
}

/// The pools of each layer, side A first; none for a layer that never switches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pools<B: Backend>(Vec<Option<[Pool<B>; 2]>>);

/// The spare vectors of one side of one layer.
#[derive(Clone, Debug)]
pub(crate) enum Pool<B: Backend> {
    Device(DevicePool<B>),
    Host(HostPool),
}

impl<B: Backend> Pools<B> {
    /// Adds the pools of the next layer.
    pub fn push(&mut self, layer: Option<[Pool<B>; 2]>) {
        self.0.push(layer);
    }

    /// Takes out the pools of a layer, if it has any.
    pub fn take(&mut self, layer: usize) -> Option<[Pool<B>; 2]> {
        self.0.get_mut(layer)?.take()
    }

    /// The length of the vectors on each side of a layer, if it has pools.
    pub fn lengths(&self, layer: usize) -> Option<[usize; 2]> {
        let pools = self.0.get(layer)?.as_ref()?;
        Some([0, 1].map(|side| pools[side].length()))
    }

    /// The pools of a layer, if it has any.
    pub fn layer(&mut self, layer: usize) -> Option<&mut [Pool<B>; 2]> {
        self.0.get_mut(layer)?.as_mut()
    }

    /// Every vector of a layer's pools as it is held, side A first; waits for those on their way.
    pub fn to_held(&self, layer: usize) -> Option<[HeldVectors; 2]> {
        let pools = self.0.get(layer)?.as_ref()?;
        Some([0, 1].map(|side| pools[side].to_held()))
    }

    /// Carries out planned writes. Vectors for host pools are read back together, in one read by the reader thread.
    pub(super) fn write(&mut self, writes: Vec<PoolWrite<B>>, guard: &Guard<B>) {
        let mut to_host = Vec::new();
        for write in writes {
            match self.layer(write.layer).map(|pools| &mut pools[write.side]) {
                Some(Pool::Device(pool)) => pool.write(&write.positions, write.vectors, guard),
                Some(Pool::Host(pool)) => to_host.push(PoolWrite {
                    vectors: pool.on_the_way(write.vectors),
                    ..write
                }),
                None => {}
            }
        }
        if to_host.is_empty() {
            return;
        }
        let vectors: Vec<_> = to_host.iter().map(|write| write.vectors.clone()).collect();
        let guard = guard.clone();
        let read = Deferred::read(move || {
            let all = read_all(vectors);
            guard.accepted().then(|| Arc::new(all))
        });
        for (index, write) in to_host.into_iter().enumerate() {
            let vectors = read
                .map(move |all: Option<Arc<Vec<TensorData>>>| all.map(|all| all[index].clone()));
            if let Some(Pool::Host(pool)) =
                self.layer(write.layer).map(|pools| &mut pools[write.side])
            {
                pool.arrive(write.positions, vectors);
            }
        }
    }
}

impl<B: Backend> Pool<B> {
    /// A pool of the given vectors, held in `precision`.
    pub fn new(
        vectors: HeldVectors,
        placement: PoolPlacement,
        precision: PoolPrecision,
        device: &B::Device,
    ) -> Self {
        match placement {
            PoolPlacement::Device => Self::Device(DevicePool::new(vectors, precision, device)),
            PoolPlacement::Host => Self::Host(HostPool::new(&vectors, precision)),
        }
    }

    /// The vectors at the given positions in the backend's dtype, `[positions, length]`, on `device`; waits for those on
    /// their way.
    pub fn read(&mut self, positions: &[usize], device: &B::Device) -> Tensor<B, 2> {
        match self {
            Self::Device(pool) => pool.read(positions),
            Self::Host(pool) => Tensor::from_data(pool.read(positions), device),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Device(pool) => pool.length(),
            Self::Host(pool) => pool.length(),
        }
    }

    fn to_held(&self) -> HeldVectors {
        match self {
            Self::Device(pool) => pool.to_held(),
            Self::Host(pool) => pool.to_held(),
        }
    }
}
