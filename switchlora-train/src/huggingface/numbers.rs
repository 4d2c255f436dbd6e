//! Dtypes of stored weights: f32, bf16 and f16.

use clap::ValueEnum;
use half::{bf16, f16};
use safetensors::Dtype;

/// Dtype of the weights in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum FileType {
    /// 32-bit float
    #[default]
    F32,
    /// 16 bits: the range of f32, 8 significant bits
    Bf16,
    /// 16 bits: 11 significant bits, largest value 65504
    F16,
}

impl FileType {
    /// Converts a safetensors dtype. `None` if it is not supported.
    pub(super) fn of(dtype: Dtype) -> Option<Self> {
        let all = [Self::F32, Self::F16, Self::Bf16];
        all.into_iter().find(|known| known.in_file() == dtype)
    }

    /// Converts to a safetensors dtype.
    pub(super) fn in_file(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// Name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Bytes per weight.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Converts little-endian `bytes` to f32 and appends them to `values`.
    pub(super) fn decode(self, bytes: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F32 => values.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Self::F16 => {
                let numbers = bytes.as_chunks().0.iter();
                values.extend(numbers.map(|b| f16::from_le_bytes(*b).to_f32()));
            }
            Self::Bf16 => {
                let numbers = bytes.as_chunks().0.iter();
                values.extend(numbers.map(|b| bf16::from_le_bytes(*b).to_f32()));
            }
        }
    }

    /// Rounds `values` to the nearest numbers of this dtype and appends them to `bytes`, little-endian.
    ///
    /// # Errors
    ///
    /// The first finite value that overflows this dtype.
    pub(super) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), f32> {
        for &value in values {
            let stored = match self {
                Self::F32 => {
                    bytes.extend(value.to_le_bytes());
                    value
                }
                Self::F16 => {
                    let stored = f16::from_f32(value);
                    bytes.extend(stored.to_le_bytes());
                    stored.to_f32()
                }
                Self::Bf16 => {
                    let stored = bf16::from_f32(value);
                    bytes.extend(stored.to_le_bytes());
                    stored.to_f32()
                }
            };
            if value.is_finite() && !stored.is_finite() {
                return Err(value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [FileType; 3] = [FileType::F32, FileType::Bf16, FileType::F16];

    proptest! {
        #[test]
        fn what_a_type_holds_comes_back_and_the_rest_is_its_nearest(values in prop::collection::vec(-1e4_f32..1e4, 0..50)) {
            for (kind, mantissa) in ALL.into_iter().zip([24, 8, 11]) {
                let (mut bytes, mut back) = (Vec::new(), Vec::new());
                kind.encode(&values, &mut bytes).unwrap();
                prop_assert_eq!(bytes.len(), values.len() * kind.bytes());
                kind.decode(&bytes, &mut back);
                for (value, stored) in values.iter().zip(&back) {
                    // Half a unit in the last place. Below 2^-14, f16 has a fixed step of 2^-24.
                    let error = (value.abs() * 2_f32.powi(-mantissa)).max(2_f32.powi(-25));
                    prop_assert!((value - stored).abs() <= error, "{value} {stored}");
                }
                let mut again = Vec::new();
                kind.encode(&back, &mut again).unwrap();
                prop_assert_eq!(bytes, again);
            }
        }
    }

    #[test]
    fn a_number_that_is_too_large_is_given_back() {
        let mut bytes = Vec::new();
        assert_eq!(FileType::F16.encode(&[1.0, 7e4], &mut bytes), Err(7e4));
        assert_eq!(FileType::Bf16.encode(&[7e4], &mut bytes), Ok(()));
        assert_eq!(
            FileType::Bf16.encode(&[f32::MAX], &mut bytes),
            Err(f32::MAX)
        );
        assert_eq!(FileType::F16.encode(&[f32::INFINITY], &mut bytes), Ok(()));
    }
}
