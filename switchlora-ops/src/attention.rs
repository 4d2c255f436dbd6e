//! Causal self-attention with rotary positions; several query heads may share one key and value head.

use crate::Precision;
use crate::operations::operations;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

/// What attention takes.
#[derive(Clone, Debug)]
pub struct Attention<B: Backend> {
    /// Queries before rotation, `[batch * length, queries * head_dim]`.
    pub q: Tensor<B, 2>,
    /// Keys before rotation, `[batch * length, keys * head_dim]`.
    pub k: Tensor<B, 2>,
    /// Values, `[batch * length, keys * head_dim]`.
    pub v: Tensor<B, 2>,
    /// Positions.
    pub tables: AttentionTables<B>,
    /// How the columns are divided into heads.
    pub heads: Heads,
}

/// Tables for the positions of one sequence.
#[derive(Clone, Debug)]
pub struct AttentionTables<B: Backend> {
    /// Cosine of each angle, `[length, head_dim / 2]`.
    pub cos: Tensor<B, 2>,
    /// Sine of each angle, `[length, head_dim / 2]`.
    pub sin: Tensor<B, 2>,
    /// True where a query may not look: the key is later, `[length, length]`. Made where it is needed if there is none.
    pub later: Option<Tensor<B, 2, Bool>>,
}

/// How many heads of what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads, a multiple of the key heads.
    pub queries: usize,
    /// Key and value heads.
    pub keys: usize,
    /// Numbers in a head, even.
    pub head_dim: usize,
}

/// `softmax(rotate(q) rotate(k)ᵀ / sqrt(head_dim)) v` within each sequence and head, over keys that are not later:
/// `[batch * length, queries * head_dim]`; products in `precision`.
///
/// The pair `(x_i, x_{i + head_dim / 2})` of a head is rotated by the `i`-th angle of its position, as in Hugging Face's LLaMA.
///
/// # Panics
///
/// If the shapes do not belong together.
pub fn causal_attention<B: Backend>(attention: Attention<B>, precision: Precision) -> Tensor<B, 2> {
    let Heads {
        queries,
        keys,
        head_dim,
    } = attention.heads;
    let [length, half] = attention.tables.cos.dims();
    let [tokens, _] = attention.q.dims();
    assert!(
        attention.q.dims() == [tokens, queries * head_dim]
            && attention.k.dims() == [tokens, keys * head_dim]
            && attention.v.dims() == [tokens, keys * head_dim]
            && attention.tables.sin.dims() == [length, half]
            && 2 * half == head_dim
            && keys > 0
            && queries % keys == 0
            && length > 0
            && tokens % length == 0,
        "shapes of attention: {tokens} queries, {:?} of {length} positions",
        attention.heads,
    );
    operations::<B>(attention.q.dtype(), precision).causal_attention(attention)
}
