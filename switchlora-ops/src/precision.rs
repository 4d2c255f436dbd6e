//! Dtype of the operands of matrix products.
//!
//! With bf16, the operands of a product are rounded to 8 bits of mantissa when the product reads them. That halves the memory
//! traffic and uses the matrix units of GPUs and of CPUs with AMX. Everything else stays f32: sums, weights, LoRA factors,
//! norms, moments and candidate vectors. So no update is lost to rounding.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter, Result as FormatResult};
use std::str::FromStr;

/// Dtype of the operands of matrix products, or of frozen weights in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats with the range of f32 and 8 bits of mantissa.
    Bf16,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// The name in configurations, flags and reports: `f32` or `bf16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// The dtype of Burn.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// Converts an operand to the dtype of products. F32 returns `tensor` as it is, whatever its dtype.
    pub fn round<B: Backend, const D: usize>(self, tensor: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::F32 => tensor,
            Self::Bf16 => tensor.cast(DType::BF16),
        }
    }

    /// Converts the result of a product of [rounded](Self::round) operands back to f32.
    pub fn widen<B: Backend, const D: usize>(self, tensor: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::F32 => tensor,
            Self::Bf16 => tensor.cast(DType::F32),
        }
    }

    /// The matrix product `a b` of operands in this precision, in f32: `a: [.., n, k]`, `b: [.., k, m]`.
    ///
    /// # Panics
    ///
    /// If the shapes do not match.
    pub fn matmul<B: Backend, const D: usize>(
        self,
        a: Tensor<B, D>,
        b: Tensor<B, D>,
    ) -> Tensor<B, D> {
        self.widen(self.round(a).matmul(self.round(b)))
    }
}

impl Display for Precision {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> FormatResult {
        formatter.pad(self.name())
    }
}

/// A name that is no [`Precision`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision `{0}`; allowed are f32 and bf16")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| UnknownPrecision(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_back_and_an_unknown_name_lists_the_allowed_ones() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "fp8".parse::<Precision>().unwrap_err().to_string();
        assert!(Precision::ALL.iter().all(|one| error.contains(one.name())));
        assert!(error.contains("`fp8`"));
    }
}
