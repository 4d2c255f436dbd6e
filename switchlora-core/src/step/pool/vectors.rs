//! Spare vectors on the host, as they are held.

use super::precision::PoolPrecision;
use crate::record::HeldVectors;
use burn::tensor::{DType, TensorData};
use half::bf16;
use std::ops::Range;

/// The largest magnitude of a number in eight bits.
pub(super) const LARGEST: f32 = 127.0;
/// `x splitter - (x splitter - x)` is `x` with the upper 16 bits of its mantissa (Veltkamp's splitting). A scale with as many
/// has exact products with numbers of eight bits, so a vector that has been rounded stays as it is when it is rounded again.
pub(super) const SPLITTER: f32 = 257.0;

/// The numbers of vectors of one length, vector by vector.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    /// And the value of one for each vector.
    Int8(Vec<i8>, Vec<f32>),
}

impl HeldVectors {
    /// Vectors that are whole numbers.
    pub fn exact(numbers: TensorData) -> Self {
        Self {
            numbers,
            scales: None,
        }
    }

    /// Length of the vectors.
    pub fn length(&self) -> usize {
        self.numbers.shape[1]
    }

    /// The precision in which they are.
    fn precision(&self) -> PoolPrecision {
        match self.numbers.dtype {
            DType::I8 => PoolPrecision::Int8,
            DType::BF16 => PoolPrecision::Bf16,
            _ => PoolPrecision::F32,
        }
    }

    /// The values of the numbers in f32, `[vectors, length]`; without a copy if they are in f32.
    pub fn into_values(self) -> TensorData {
        match self.scales {
            None => self.numbers.convert::<f32>(),
            Some(_) => {
                let numbers = Numbers::new(&self, PoolPrecision::Int8);
                let mut values = Vec::with_capacity(numbers.len());
                numbers.read(0..numbers.len(), &mut values);
                TensorData::new(values, self.numbers.shape)
            }
        }
    }
}

impl Numbers {
    /// `vectors` in `precision`; bit for bit if they are in it already.
    pub fn new(vectors: &HeldVectors, precision: PoolPrecision) -> Self {
        let HeldVectors { numbers, scales } = vectors;
        if let (PoolPrecision::Int8, Some(scales)) = (precision, scales) {
            return Self::Int8(numbers.iter::<i8>().collect(), scales.iter().collect());
        }
        let values = match vectors.precision() {
            PoolPrecision::Int8 => &vectors.clone().into_values(),
            _ => numbers,
        };
        match precision {
            PoolPrecision::F32 => Self::F32(values.iter::<f32>().collect()),
            PoolPrecision::Bf16 => Self::Bf16(values.iter::<f32>().map(bf16::from_f32).collect()),
            PoolPrecision::Int8 => {
                let (count, length) = (values.shape[0], values.shape[1]);
                let mut held = Self::Int8(vec![0; count * length], vec![0.0; count]);
                let values: Vec<f32> = values.iter().collect();
                for (vector, values) in values.chunks(length.max(1)).enumerate() {
                    held.write(vector, values);
                }
                held
            }
        }
    }

    /// Numbers in all vectors.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::Bf16(numbers) => numbers.len(),
            Self::Int8(numbers, _) => numbers.len(),
        }
    }

    /// Appends the values of the numbers in `range`, which are those of whole vectors, to `out`.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<f32>) {
        match self {
            Self::F32(numbers) => out.extend(&numbers[range]),
            Self::Bf16(numbers) => out.extend(numbers[range].iter().map(|number| number.to_f32())),
            Self::Int8(numbers, scales) => {
                let length = (numbers.len() / scales.len().max(1)).max(1);
                let scales = &scales[range.start / length..];
                for (vector, scale) in numbers[range].chunks(length).zip(scales) {
                    out.extend(vector.iter().map(|&number| f32::from(number) * scale));
                }
            }
        }
    }

    /// Replaces vector number `vector` by `values`.
    pub fn write(&mut self, vector: usize, values: &[f32]) {
        let start = vector * values.len();
        match self {
            Self::F32(numbers) => numbers[start..][..values.len()].copy_from_slice(values),
            Self::Bf16(numbers) => {
                let places = numbers[start..].iter_mut().zip(values);
                places.for_each(|(place, value)| *place = bf16::from_f32(*value));
            }
            Self::Int8(numbers, scales) => {
                let largest = values
                    .iter()
                    .fold(0.0f32, |max, value| max.max(value.abs()));
                let scale = largest / LARGEST;
                let split = scale * SPLITTER;
                let scale = split - (split - scale);
                let divisor = scale.max(f32::MIN_POSITIVE);
                scales[vector] = scale;
                for (place, value) in numbers[start..].iter_mut().zip(values) {
                    let number = (value / divisor).round_ties_even();
                    *place = number.clamp(-LARGEST, LARGEST) as i8;
                }
            }
        }
    }

    /// The vectors of the given length as a record has them.
    pub fn into_held(self, length: usize) -> HeldVectors {
        let shape = [self.len() / length.max(1), length];
        match self {
            Self::F32(numbers) => HeldVectors::exact(TensorData::new(numbers, shape)),
            Self::Bf16(numbers) => HeldVectors::exact(TensorData::new(numbers, shape)),
            Self::Int8(numbers, scales) => HeldVectors {
                numbers: TensorData::new(numbers, shape),
                scales: Some(TensorData::new(scales, [shape[0], 1])),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vectors() -> impl Strategy<Value = (usize, Vec<f32>)> {
        (1usize..6, 1usize..9).prop_flat_map(|(count, length)| {
            let number = prop_oneof![4 => -2.0f32..2.0, 1 => Just(0.0), 1 => -1e-30f32..1e30];
            (Just(length), prop::collection::vec(number, count * length))
        })
    }

    proptest! {
        #[test]
        fn a_number_is_within_half_a_step_and_the_largest_is_kept((length, values) in vectors()) {
            let count = values.len() / length;
            let given = HeldVectors::exact(TensorData::new(values.clone(), [count, length]));
            let held = Numbers::new(&given, PoolPrecision::Int8).into_held(length);
            let found: Vec<f32> = held.into_values().iter().collect();
            for (values, found) in values.chunks(length).zip(found.chunks(length)) {
                let largest = values.iter().fold(0.0f32, |max, value| max.max(value.abs()));
                for (value, found) in values.iter().zip(found) {
                    prop_assert!((value - found).abs() <= largest * (0.5 / 127.0 + 2e-5), "{value} {found}");
                    let is_kept = (value - found).abs() <= 2e-5 * largest;
                    prop_assert!(value.abs() < largest || is_kept);
                }
            }
        }

        #[test]
        fn what_is_held_stays_as_it_is_when_it_is_held_again((length, values) in vectors()) {
            let count = values.len() / length;
            let given = HeldVectors::exact(TensorData::new(values, [count, length]));
            for precision in PoolPrecision::ALL {
                let once = Numbers::new(&given, precision).into_held(length);
                let again = Numbers::new(&once, precision).into_held(length);
                prop_assert_eq!(&once, &again);
                // A wider precision holds the same values, and they come back as they were.
                let wide = Numbers::new(&once, PoolPrecision::F32).into_held(length);
                prop_assert_eq!(wide.clone().into_values(), once.clone().into_values());
                prop_assert_eq!(Numbers::new(&wide, precision).into_held(length), once);
            }
        }
    }

    #[test]
    fn names_are_read_and_shown() {
        for precision in PoolPrecision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert!("int4".parse::<PoolPrecision>().is_err());
    }
}
