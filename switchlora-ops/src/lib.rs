//! Operations of language models for [Burn](https://burn.dev), with gradients derived by hand.
//!
//! Each is a function over tensors of any backend. On a backend with kernels of our own ([Flex](https://docs.rs/burn-flex),
//! feature `flex`; [burn-wgpu](https://docs.rs/burn-wgpu) and [burn-cuda](https://docs.rs/burn-cuda), features `wgpu` and
//! `cuda`) and f32, forward and backward are one pass each; everywhere else, and in any other type, the same is composed of
//! tensor operations. Which it is, is found at run time: no bound but `B: Backend` is asked for. `SWITCHLORA_PLAIN=1` in
//! the environment, read once, has everything composed.
//!
//! | operation | what its own kernels save |
//! |---|---|
//! | [`rms_norm`], [`swiglu`] | passes over memory, and what autodiff would keep |
//! | [`causal_attention`] | the scores: never kept; on a CPU only those that are not masked are computed, on a GPU two products have one kernel between them |
//! | [`linear_cross_entropy`] | the logits: never whole |
//! | [`projections`] | a third of an adapter's products; sums of gradients; waking threads for each product |
//! | [`adamw()`], [`sum_of_squares`], [`add_product`] | passes over memory; on a GPU one launch for each parameter |
//! | [`embedding()`] | copies of the whole table for the gradient of its rows |
//! | [`gather_rows`], [`scatter_rows`] | copies of whole matrices for a few of their rows |
//!
//! ```
//! use burn::backend::Autodiff;
//! use burn::tensor::{Distribution, Tensor};
//! use burn_flex::Flex;
//!
//! type B = Autodiff<Flex>;
//! let device = Default::default();
//! let x = Tensor::<B, 2>::random([6, 10], Distribution::Default, &device).require_grad();
//! let weight = Tensor::<B, 1>::ones([10], &device).require_grad();
//! let gradients = switchlora_ops::rms_norm(x.clone(), weight, 1e-6).sum().backward();
//! assert_eq!(x.grad(&gradients).unwrap().dims(), [6, 10]);
//! ```

#![deny(missing_docs)]

mod adamw;
mod attention;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
mod differentiable;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
mod direct;
#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod gradients;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
mod kernels;
mod operations;
mod plain;
mod pool;
mod precision;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
mod primitive;
mod projection;
mod rows;

pub use adamw::{AdamWRows, Moments, adamw};
pub use attention::{Attention, AttentionTables, Heads, causal_attention};
pub use plain::rotate;
pub use pool::in_pool;
pub use precision::Precision;
pub use projection::{Adapter, Projection, linear, projections};
pub use rows::{gather_rows, scatter_rows};

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use operations::operations;

/// The rows of `weight: [vocabulary, width]` that `tokens: [tokens]` name, `[tokens, width]`.
///
/// A token outside the vocabulary is the caller's mistake: the backend panics, or the row is anything.
pub fn embedding<B: Backend>(weight: Tensor<B, 2>, tokens: Tensor<B, 1, Int>) -> Tensor<B, 2> {
    operations::<B>(weight.dtype(), Precision::F32).embedding(weight, tokens)
}

/// RMSNorm: `y = x / sqrt(mean(x^2) + epsilon) * weight` over each row of `x: [tokens, width]`, `weight: [width]`.
pub fn rms_norm<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
    operations::<B>(x.dtype(), Precision::F32).rms_norm(x, weight, epsilon)
}

/// SwiGLU: `silu(gate) * up`, both `[tokens, width]`.
pub fn swiglu<B: Backend>(gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
    operations::<B>(gate.dtype(), Precision::F32).swiglu(gate, up)
}

/// Mean cross-entropy, `[1]`, in nats a token, of `targets: [tokens]` under the logits `hidden weight`.
///
/// `hidden: [tokens, width]`, `weight: [width, vocabulary]`. `precision` is that of the product. A target outside the
/// vocabulary is the caller's mistake: the result is not a number, or the backend panics.
pub fn linear_cross_entropy<B: Backend>(
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    precision: Precision,
) -> Tensor<B, 1> {
    operations::<B>(hidden.dtype(), precision).linear_cross_entropy(hidden, weight, targets)
}

/// The sum of the squares of `x: [rows, columns]`, `[1]`. The same in every run, whatever threads are free.
pub fn sum_of_squares<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 1> {
    operations::<B>(x.dtype(), Precision::F32).sum_of_squares(x)
}

/// `weight + leftᵀ right` for `weight: [n, m]`, `left: [k, n]`, `right: [k, m]` and a `k` that is small.
///
/// The sum is computed in the type of `left` and rounded once to that of `weight`.
pub fn add_product<B: Backend>(
    weight: Tensor<B, 2>,
    left: Tensor<B, 2>,
    right: Tensor<B, 2>,
) -> Tensor<B, 2> {
    operations::<B>(left.dtype(), Precision::F32).add_product(weight, left, right)
}
