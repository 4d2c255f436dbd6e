//! Spare vectors on the device.

use super::precision::PoolPrecision;
use super::vectors::{LARGEST, Numbers, SPLITTER};
use crate::record::{HeldVectors, read_all};
use crate::step::guard::Guard;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, ElementConversion, Int, Numeric, Tensor, TensorData};
use switchlora_ops::{Precision, gather_rows};

/// Numbers of eight bits in an integer of 32.
const PACKED: usize = 4;

/// Vectors on the device.
#[derive(Clone, Debug)]
pub(crate) enum DevicePool<B: Backend> {
    /// `[vectors, length]` in the dtype in which they are held.
    Floats(Tensor<B, 2>),
    Int8(Int8Pool<B>),
}

/// Vectors in eight bits.
#[derive(Clone, Debug)]
pub(crate) struct Int8Pool<B: Backend> {
    /// Four numbers in each integer, the first in the lowest bits, `[vectors, length / 4 rounded up]`.
    packed: Tensor<B, 2, Int>,
    /// The value of one, `[vectors, 1]`.
    scales: Tensor<B, 2>,
    length: usize,
}

impl<B: Backend> DevicePool<B> {
    pub fn new(vectors: HeldVectors, precision: PoolPrecision, device: &B::Device) -> Self {
        let held =
            |vectors: HeldVectors| Numbers::new(&vectors, precision).into_held(vectors.length());
        match precision {
            PoolPrecision::F32 => Self::Floats(Tensor::from_data(vectors.into_values(), device)),
            PoolPrecision::Bf16 => {
                // Without a dtype it would be that of the backend.
                let options = (device, Precision::Bf16.dtype());
                Self::Floats(Tensor::from_data(held(vectors).numbers, options))
            }
            PoolPrecision::Int8 => Self::Int8(Int8Pool::new(held(vectors), device)),
        }
    }

    /// The vectors at the given positions in the backend's dtype, `[positions, length]`.
    pub fn read(&self, positions: &[usize]) -> Tensor<B, 2> {
        match self {
            Self::Floats(pool) => widened(gather_rows(pool, positions)),
            Self::Int8(pool) => pool.read(positions),
        }
    }

    /// Writes `vectors: [positions, length]` to the given positions in place, if the update happens.
    pub fn write(&mut self, positions: &[usize], vectors: Tensor<B, 2>, guard: &Guard<B>) {
        match self {
            Self::Floats(pool) => {
                let taken = taken_out(pool);
                let vectors = vectors.cast(taken.dtype());
                *pool = guard.write_rows(taken, positions, vectors);
            }
            Self::Int8(pool) => pool.write(positions, vectors, guard),
        }
    }

    /// Length of the vectors.
    pub fn length(&self) -> usize {
        match self {
            Self::Floats(pool) => pool.dims()[1],
            Self::Int8(pool) => pool.length,
        }
    }

    /// Every vector, as it is held.
    pub fn to_held(&self) -> HeldVectors {
        match self {
            Self::Floats(pool) => HeldVectors::exact(read_all([pool.clone()]).remove(0)),
            Self::Int8(pool) => pool.to_held(),
        }
    }
}

/// What is in `place`, which gets something small: a tensor with one owner is written in place.
fn taken_out<B: Backend, K: Numeric<B>>(place: &mut Tensor<B, 2, K>) -> Tensor<B, 2, K> {
    let small = Tensor::zeros([1, 1], &place.device());
    std::mem::replace(place, small)
}

/// `vectors` in the dtype of the backend, if they are in bf16.
fn widened<B: Backend>(vectors: Tensor<B, 2>) -> Tensor<B, 2> {
    match vectors.dtype() {
        DType::BF16 => vectors.cast(<B::FloatElem as Element>::dtype()),
        _ => vectors,
    }
}

impl<B: Backend> Int8Pool<B> {
    /// `vectors` must be in eight bits.
    fn new(vectors: HeldVectors, device: &B::Device) -> Self {
        let (count, length) = (vectors.numbers.shape[0], vectors.length());
        let words = length.div_ceil(PACKED);
        let numbers: Vec<i8> = vectors.numbers.iter().collect();
        let packed = numbers.chunks(length.max(1)).flat_map(|vector| {
            vector.chunks(PACKED).map(|numbers| {
                let mut bytes = [0; PACKED];
                for (byte, number) in bytes.iter_mut().zip(numbers) {
                    *byte = number.to_ne_bytes()[0];
                }
                i32::from_le_bytes(bytes)
            })
        });
        let packed = TensorData::new(packed.collect::<Vec<i32>>(), [count, words]);
        let scales = vectors
            .scales
            .unwrap_or_else(|| TensorData::zeros::<f32, _>([count, 1]));
        Self {
            packed: Tensor::from_data(packed, device),
            scales: Tensor::from_data(scales, device),
            length,
        }
    }

    fn read(&self, positions: &[usize]) -> Tensor<B, 2> {
        let [_, words] = self.packed.dims();
        let packed = self.rows(positions);
        // The bytes of each integer, as numbers from 0 to 255.
        let bytes = (0..PACKED).map(|byte| {
            let shifted = packed
                .clone()
                .bitwise_right_shift_scalar((8 * byte as i64).elem());
            let byte = shifted.bitwise_and_scalar(255.elem());
            byte.reshape([positions.len(), words, 1])
        });
        let bytes = Tensor::cat(bytes.collect(), 2).reshape([positions.len(), PACKED * words]);
        let bytes = bytes.narrow(1, 0, self.length);
        // Those with the highest bit are negative.
        let negative = bytes.clone().bitwise_right_shift_scalar(7.elem());
        let numbers = bytes - negative.mul_scalar(256);
        numbers.float() * gather_rows(&self.scales, positions)
    }

    fn write(&mut self, positions: &[usize], vectors: Tensor<B, 2>, guard: &Guard<B>) {
        let [count, length] = vectors.dims();
        let words = length.div_ceil(PACKED);
        let scales = vectors.clone().abs().max_dim(1) / LARGEST; // [count, 1]
        let split = scales.clone() * SPLITTER;
        let scales = split.clone() - (split - scales);
        let numbers = vectors / scales.clone().clamp_min(f32::MIN_POSITIVE);
        let numbers = numbers.round().clamp(-LARGEST, LARGEST).int();
        let padded = match PACKED * words - length {
            0 => numbers,
            missing => {
                let padding = Tensor::zeros([count, missing], &numbers.device());
                Tensor::cat(vec![numbers, padding], 1)
            }
        };
        let bytes = padded
            .bitwise_and_scalar(255.elem())
            .reshape([count, words, PACKED]);
        let byte = |byte: usize| {
            let byte_of = bytes.clone().narrow(2, byte, 1).reshape([count, words]);
            byte_of.bitwise_left_shift_scalar((8 * byte as i64).elem())
        };
        let packed = (1..PACKED).fold(byte(0), |packed, number| packed.bitwise_or(byte(number)));
        let packed = guard.choose(packed, |_| self.rows(positions));
        let mut taken = taken_out(&mut self.packed);
        for run in runs(positions) {
            let (first, count) = (positions[run.start], run.len());
            let rows = packed.clone().slice([run]);
            taken = taken.slice_assign([first..first + count, 0..words], rows);
        }
        self.packed = taken;
        self.scales = guard.write_rows(taken_out(&mut self.scales), positions, scales);
    }

    /// The integers of the vectors at the given positions, `[positions, words]`.
    fn rows(&self, positions: &[usize]) -> Tensor<B, 2, Int> {
        let positions: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
        let positions = Tensor::from_data(positions.as_slice(), &self.packed.device());
        self.packed.clone().select(0, positions)
    }

    fn to_held(&self) -> HeldVectors {
        let packed = self.packed.to_data();
        let [count, words] = self.packed.dims();
        let mut numbers = Vec::with_capacity(count * self.length);
        let packed: Vec<i64> = packed.iter().collect();
        for vector in packed.chunks(words.max(1)) {
            let bytes = vector.iter().flat_map(|&word| (word as i32).to_le_bytes());
            let bytes = bytes.take(self.length);
            numbers.extend(bytes.map(|byte| i8::from_ne_bytes([byte])));
        }
        HeldVectors {
            numbers: TensorData::new(numbers, [count, self.length]),
            scales: Some(self.scales.to_data()),
        }
    }
}

/// The parts of `positions` in which each is the one after that before it.
fn runs(positions: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for index in 0..positions.len() {
        match runs.last_mut() {
            Some(run) if positions[index - 1] + 1 == positions[index] => run.end = index + 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;
    use burn_ndarray::NdArray;
    use proptest::prelude::*;

    /// What a pool on the device holds and reads after writes, and what the same on the host holds.
    fn held<B: Backend>(
        count: usize,
        length: usize,
        start: &[f32],
        positions: &[usize],
        new: &[f32],
    ) -> ([HeldVectors; 2], [Vec<f32>; 2]) {
        let device = Default::default();
        let given = HeldVectors::exact(TensorData::new(start.to_vec(), [count, length]));
        let mut host = Numbers::new(&given, PoolPrecision::Int8);
        let mut pool = DevicePool::<B>::new(given, PoolPrecision::Int8, &device);
        let data = TensorData::new(new.to_vec(), [positions.len(), length]);
        pool.write(positions, Tensor::from_data(data, &device), &Guard::open());
        let read = pool.read(positions).into_data().iter().collect();
        let mut expected = Vec::new();
        for (&position, values) in positions.iter().zip(new.chunks(length)) {
            host.write(position, values);
        }
        for &position in positions {
            host.read(position * length..(position + 1) * length, &mut expected);
        }
        ([pool.to_held(), host.into_held(length)], [read, expected])
    }

    proptest! {
        #[test]
        fn eight_bits_on_the_device_are_those_on_the_host(
            (count, length) in (1usize..7, 1usize..11), seed: u64, chosen: [bool; 7],
        ) {
            let number = |i: u64| ((seed ^ i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD129_0DDB_53C4_3E49) >> 40) as f32;
            let number = |i: u64| if i.is_multiple_of(13) { 0.0 } else { number(i) / 1e7 - 0.8 };
            let start: Vec<f32> = (0..count * length).map(|i| number(i as u64)).collect();
            let positions: Vec<usize> = (0..count).filter(|&i| chosen[i]).collect();
            prop_assume!(!positions.is_empty());
            let new: Vec<f32> = (0..positions.len() * length).map(|i| number(1000 + i as u64)).collect();
            let (held_by, read) = held::<Flex>(count, length, &start, &positions, &new);
            prop_assert_eq!(&held_by[0], &held_by[1]);
            prop_assert_eq!(&read[0], &read[1]);
            let (held_by, read) = held::<NdArray>(count, length, &start, &positions, &new);
            prop_assert_eq!(&held_by[0], &held_by[1]);
            prop_assert_eq!(&read[0], &read[1]);
        }

        #[test]
        fn runs_cover_all_positions_in_their_order(positions in prop::collection::vec(0usize..9, 0..8)) {
            let covered: Vec<usize> = runs(&positions).into_iter().flatten().collect();
            prop_assert_eq!(covered, (0..positions.len()).collect::<Vec<_>>());
            for run in runs(&positions) {
                let first = positions[run.start];
                let expected: Vec<usize> = (first..first + run.len()).collect();
                prop_assert_eq!(&positions[run], &expected[..]);
            }
        }
    }
}
