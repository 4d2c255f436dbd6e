//! Spare vectors in host memory.

use super::precision::PoolPrecision;
use super::vectors::Numbers;
use crate::record::HeldVectors;
use crate::step::deferred::Deferred;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

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

impl HostPool {
    pub fn new(vectors: &HeldVectors, precision: PoolPrecision) -> Self {
        Self {
            length: vectors.length(),
            vectors: Numbers::new(vectors, precision),
            arriving: Vec::new(),
        }
    }

    /// Length of the vectors.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Every vector, as it is held; waits for those on their way.
    pub fn to_held(&self) -> HeldVectors {
        let mut pool = self.clone();
        pool.settle(|_| true);
        pool.vectors.into_held(pool.length)
    }

    /// Vectors that are to be written, rounded where a pool on the device would round.
    pub fn on_the_way<B: Backend>(&self, vectors: Tensor<B, 2>) -> Tensor<B, 2> {
        match self.vectors {
            Numbers::F32(_) | Numbers::Int8(..) => vectors,
            // Else they are rounded when they arrive.
            Numbers::Bf16(_) if B::supports_dtype(&vectors.device(), DType::BF16) => {
                vectors.cast(DType::BF16)
            }
            Numbers::Bf16(_) => vectors,
        }
    }

    /// The vectors at the given positions, `[positions, length]`; waits for those on their way.
    pub fn read(&mut self, positions: &[usize]) -> TensorData {
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
    pub fn arrive(&mut self, positions: Vec<usize>, vectors: Deferred<Option<TensorData>>) {
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
                self.vectors.write(*position, vector);
            }
        }
    }
}
