//! What the products of matrices are computed in. Everything between them, and everything that is kept, is f32.
//!
//! With bf16 the operands of a product are rounded to 8 bits of mantissa on their way into it: half the traffic, and the
//! matrix units of a GPU or of a processor that has them. Weights, factors, norms, moments and candidates stay f32, so nothing is lost between updates.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the products of matrices are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats with the range of f32.
    Bf16,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// Its name on command lines and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Whether this processor computes products in it with matrix units, in the kernels on Flex: in several times less time
    /// than in f32.
    pub fn has_matrix_units_here(self) -> bool {
        #[cfg(feature = "flex")]
        return crate::flex::has_matrix_units(self);
        #[cfg(not(feature = "flex"))]
        return false;
    }

    /// The type of a product's operands.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// `tensor` as an operand of a product.
    pub fn round<B: Backend, const D: usize>(self, tensor: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::F32 => tensor,
            Self::Bf16 => tensor.cast(DType::BF16),
        }
    }

    /// The result of a product of rounded operands as everything else is computed in, f32.
    pub fn widen<B: Backend, const D: usize>(self, tensor: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::F32 => tensor,
            Self::Bf16 => tensor.cast(DType::F32),
        }
    }

    /// `a b`.
    pub fn matmul<B: Backend, const D: usize>(
        self,
        a: Tensor<B, D>,
        b: Tensor<B, D>,
    ) -> Tensor<B, D> {
        self.widen(self.round(a).matmul(self.round(b)))
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|precision| precision.name() == name);
        found.ok_or_else(|| format!("no precision `{name}`: expected f32 or bf16"))
    }
}
