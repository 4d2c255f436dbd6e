//! In how many bits spare vectors are kept.

use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter, Result as FormatResult};
use std::str::FromStr;

/// In how many bits the numbers of spare vectors are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolPrecision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to 8 bits of mantissa.
    Bf16,
    /// Rounded to the nearest of 255 numbers, the multiples of a 127th of the vector's largest magnitude.
    Int8,
}

impl PoolPrecision {
    /// Every precision.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// The name in configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// The float that a device must have for it.
    pub fn float(self) -> switchlora_ops::Precision {
        match self {
            Self::F32 | Self::Int8 => switchlora_ops::Precision::F32,
            Self::Bf16 => switchlora_ops::Precision::Bf16,
        }
    }

    /// Bytes of `numbers` numbers in `vectors` vectors.
    pub(crate) fn bytes(self, numbers: u64, vectors: u64) -> u64 {
        match self {
            Self::F32 => 4 * numbers,
            Self::Bf16 => 2 * numbers,
            Self::Int8 => numbers + 4 * vectors,
        }
    }
}

impl Display for PoolPrecision {
    fn fmt(&self, f: &mut Formatter<'_>) -> FormatResult {
        f.write_str(self.name())
    }
}

impl FromStr for PoolPrecision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| format!("unknown precision `{name}`: expected f32, bf16 or int8"))
    }
}
