//! Arguments of [`causal_attention`](crate::causal_attention).

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

/// Inputs of attention: queries, keys and values of all heads, before rotation.
#[derive(Clone, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, `[batch * length, queries * head_dim]`.
    pub q: Tensor<B, 2>,
    /// Keys, `[batch * length, keys * head_dim]`.
    pub k: Tensor<B, 2>,
    /// Values, `[batch * length, keys * head_dim]`.
    pub v: Tensor<B, 2>,
    /// Rotation angles of the positions, and the causal mask.
    pub tables: AttentionTables<B>,
    /// Number and size of the heads.
    pub heads: Heads,
}

/// Rotation angles and causal mask for the positions of one sequence.
#[derive(Clone, Debug)]
pub struct AttentionTables<B: Backend> {
    /// Cosine of each angle, `[length, head_dim / 2]`.
    pub cos: Tensor<B, 2>,
    /// Sine of each angle, `[length, head_dim / 2]`.
    pub sin: Tensor<B, 2>,
    /// Causal mask, `[length, length]`: true where the key is later than the query. If `None`, it is computed where it is
    /// needed.
    pub later: Option<Tensor<B, 2, Bool>>,
}

/// Number and size of attention heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Number of query heads, a multiple of the number of key heads.
    pub queries: usize,
    /// Number of key heads and of value heads.
    pub keys: usize,
    /// Dimension of a head, even.
    pub head_dim: usize,
}
