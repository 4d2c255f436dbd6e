//! Operations of language models for [Burn](https://burn.dev), with gradients derived by hand.
//!
//! Each operation is a function over tensors of any backend. On a backend with our own kernels, f32 takes one pass forward and
//! one pass backward. Such backends are [Flex](https://docs.rs/burn-flex) (feature `flex`),
//! [burn-wgpu](https://docs.rs/burn-wgpu) (`wgpu`) and [burn-cuda](https://docs.rs/burn-cuda) (`cuda`). Every other backend and
//! dtype computes the same result from Burn's tensor operations. The choice is made at run time: the only bound is
//! `B: Backend`. `SWITCHLORA_PLAIN=1` in the environment, read once, turns our kernels off.
//!
//! | operation | what our kernels save |
//! |---|---|
//! | [`rms_norm`], [`swiglu`] | passes over memory, and tensors that autodiff would keep |
//! | [`causal_attention`] | the scores are never kept; a CPU skips masked scores, a GPU runs one kernel between two products |
//! | [`linear_cross_entropy`] | the logits of all tokens are never stored together |
//! | [`projections`] | a third of the products of an adapter; sums of gradients; waking threads for each product |
//! | [`adamw()`], [`sum_of_all_squares`], [`add_product`], [`add_products`], [`matmul`] | passes over memory; on a GPU one launch per parameter |
//! | [`embedding()`] | copies of the whole table for the gradient of a few rows |
//! | [`gather_rows`], [`scatter_rows`] | copies of whole matrices for a few of their rows |
//! | [`HostRead`] | on a CPU the copy of what is read |
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

// A library does not print.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![deny(missing_docs)]

mod adamw;
mod attention;
#[cfg(any(test, feature = "check"))]
pub mod check;
#[cfg(any(feature = "wgpu", feature = "cuda", all(test, feature = "nvrtc")))]
mod cube;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
mod differentiable;
mod dtypes;
#[cfg(feature = "flex")]
mod flex;
mod host_read;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
mod kernels;
mod logits;
mod model;
#[cfg(any(test, feature = "old-glibc"))]
mod old_glibc;
mod operations;
mod optimizer;
mod plain;
#[cfg(feature = "flex")]
mod pool;
mod precision;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
mod primitive;
mod projection;
mod registry;
#[cfg(test)]
mod tests;

pub use adamw::{AdamWRows, Moments};
pub use attention::{Attention, AttentionTables, Heads};
pub use host_read::HostRead;
pub use logits::logits_together;
pub use model::{
    causal_attention, embedding, linear, linear_cross_entropy, projections, rms_norm, swiglu,
};
pub use optimizer::{
    adamw, add_product, add_products, gather_rows, matmul, scatter_rows, sum_of_all_squares,
    sum_of_squares,
};
pub use plain::rotate;
pub use precision::{Precision, UnknownPrecision};
pub use projection::{Adapter, Projection};
pub use registry::{computes_at_once, in_pool, is_composed, reads_share_memory};
