//! Pools of vectors, `[vectors, length]` each, on the device or in host memory.
//!
//! A pool is read and written a few vectors at a time, never copied. It may hold its vectors in bf16: a vector that enters
//! a layer then has the rounded values, which the weight absorbs as they are, and one that leaves is rounded. Vectors that
//! enter a pool in host memory are read back by the reader thread, those of all pools together, and are waited for only
//! when they are needed again.

use super::deferred::Deferred;
use super::guard::Guard;
use super::plan::PoolWrite;
use crate::record::read_all;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, Tensor, TensorData};
use half::bf16;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use switchlora_ops::{Precision, gather_rows};

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
    /// In the dtype in which the pool holds its vectors.
    Device(Tensor<B, 2>),
    Host(HostPool),
}

/// The numbers of vectors in host memory.
#[derive(Clone, Debug)]
enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Numbers {
    fn new(vectors: &TensorData, precision: Precision) -> Self {
        let numbers = vectors.iter::<f32>();
        match precision {
            Precision::F32 => Self::F32(numbers.collect()),
            Precision::Bf16 => Self::Bf16(numbers.map(bf16::from_f32).collect()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::Bf16(numbers) => numbers.len(),
        }
    }

    /// Appends the numbers in `range` to `out`.
    fn read(&self, range: Range<usize>, out: &mut Vec<f32>) {
        match self {
            Self::F32(numbers) => out.extend(&numbers[range]),
            Self::Bf16(numbers) => out.extend(numbers[range].iter().map(|number| number.to_f32())),
        }
    }

    fn write(&mut self, start: usize, values: &[f32]) {
        match self {
            Self::F32(numbers) => numbers[start..][..values.len()].copy_from_slice(values),
            Self::Bf16(numbers) => {
                let places = numbers[start..].iter_mut().zip(values);
                places.for_each(|(place, value)| *place = bf16::from_f32(*value));
            }
        }
    }
}

/// Vectors in host memory, and those still on their way to it.
#[derive(Clone, Debug)]
pub(crate) struct HostPool {
    /// `[vectors, length]`, vector by vector.
    vectors: Numbers,
    length: usize,
    arriving: Vec<Arrival>,
}

/// Vectors that have left a layer and are not yet in the pool.
#[derive(Clone, Debug)]
struct Arrival {
    positions: Vec<usize>,
    /// `None` if the update was refused.
    vectors: Deferred<Option<TensorData>>,
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

    /// Every vector of a layer's pools in the dtype in which they are held, `[vectors, length]` for each side; waits for
    /// those on their way.
    pub fn to_data(&self, layer: usize) -> Option<[TensorData; 2]> {
        let pools = self.0.get(layer)?.as_ref()?;
        Some([0, 1].map(|side| pools[side].to_data()))
    }

    /// Carries out planned writes. Vectors for host pools are read back together, in one read by the reader thread.
    pub(super) fn write(&mut self, writes: Vec<PoolWrite<B>>, guard: &Guard<B>) {
        let mut to_host = Vec::new();
        for write in writes {
            match self.layer(write.layer).map(|pools| &mut pools[write.side]) {
                Some(Pool::Device(pool)) => {
                    // Taken out, so that the pool has one owner and is written in place.
                    let device = pool.device();
                    let taken = std::mem::replace(pool, Tensor::zeros([1, 1], &device));
                    let vectors = write.vectors.cast(taken.dtype());
                    *pool = guard.write_rows(taken, &write.positions, vectors);
                }
                Some(Pool::Host(pool)) => to_host.push(PoolWrite {
                    // Rounded where a pool on the device would round.
                    vectors: match pool.vectors {
                        Numbers::F32(_) => write.vectors,
                        Numbers::Bf16(_) => write.vectors.cast(DType::BF16),
                    },
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
    /// A pool of the given vectors, `[vectors, length]`, held in `precision`.
    pub fn new(
        vectors: TensorData,
        placement: PoolPlacement,
        precision: Precision,
        device: &B::Device,
    ) -> Self {
        match placement {
            PoolPlacement::Device => Self::Device(match precision {
                Precision::F32 => Tensor::from_data(vectors, device),
                Precision::Bf16 => {
                    // Without a dtype it would be that of the backend.
                    let options = (device, precision.dtype());
                    Tensor::from_data(vectors.convert::<bf16>(), options)
                }
            }),
            PoolPlacement::Host => Self::Host(HostPool {
                length: vectors.shape[1],
                vectors: Numbers::new(&vectors, precision),
                arriving: Vec::new(),
            }),
        }
    }

    /// The vectors at the given positions in the backend's dtype, `[positions, length]`, on `device`; waits for those on
    /// their way.
    pub fn read(&mut self, positions: &[usize], device: &B::Device) -> Tensor<B, 2> {
        match self {
            Self::Device(pool) => widened(gather_rows(pool, positions)),
            Self::Host(pool) => Tensor::from_data(pool.read(positions), device),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Device(pool) => pool.dims()[1],
            Self::Host(pool) => pool.length,
        }
    }

    fn to_data(&self) -> TensorData {
        match self {
            Self::Device(pool) => read_all([pool.clone()]).remove(0),
            Self::Host(pool) => {
                let mut pool = pool.clone();
                pool.settle(|_| true);
                let shape = [pool.vectors.len() / pool.length, pool.length];
                match pool.vectors {
                    Numbers::F32(vectors) => TensorData::new(vectors, shape),
                    Numbers::Bf16(vectors) => TensorData::new(vectors, shape),
                }
            }
        }
    }
}

/// `vectors` in the dtype of the backend, if they are in bf16.
fn widened<B: Backend>(vectors: Tensor<B, 2>) -> Tensor<B, 2> {
    match vectors.dtype() {
        DType::BF16 => vectors.cast(<B::FloatElem as Element>::dtype()),
        _ => vectors,
    }
}

impl HostPool {
    fn read(&mut self, positions: &[usize]) -> TensorData {
        let awaited = |arrival: &Arrival| arrival.positions.iter().any(|p| positions.contains(p));
        while self.arriving.iter().any(awaited) {
            let mut first = true;
            self.settle(|_| std::mem::take(&mut first));
        }
        let mut vectors = Vec::with_capacity(positions.len() * self.length);
        for position in positions {
            let range = position * self.length..(position + 1) * self.length;
            self.vectors.read(range, &mut vectors);
        }
        TensorData::new(vectors, [positions.len(), self.length])
    }

    /// Announces vectors on their way to the given positions.
    fn arrive(&mut self, positions: Vec<usize>, vectors: Deferred<Option<TensorData>>) {
        self.settle(|arrival| arrival.vectors.is_ready());
        self.arriving.push(Arrival { positions, vectors });
    }

    /// Writes arrivals into the pool, oldest first, for as long as `due` returns true.
    fn settle(&mut self, mut due: impl FnMut(&Arrival) -> bool) {
        let settled = self.arriving.iter().take_while(|a| due(a)).count();
        for arrival in self.arriving.drain(..settled) {
            let Some(vectors) = arrival.vectors.get() else {
                continue;
            };
            let values: Vec<f32> = vectors.iter::<f32>().collect();
            for (position, vector) in arrival.positions.iter().zip(values.chunks(self.length)) {
                self.vectors.write(position * self.length, vector);
            }
        }
    }
}
