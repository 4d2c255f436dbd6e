//! Kernels for Burn's CubeCL backends: burn-wgpu and burn-cuda, with and without fusion, from the same source.
//!
//! Matrix products are Burn's, which uses tensor cores and tunes variants. Our kernels compute what lies between the products,
//! in one pass each. Sizes are run-time values, so that a kernel is compiled once and not once per shape. No function waits
//! for the device.
//!
//! One file or folder per operation, which implements its traits. [`launch`] starts kernels; [`tensors`] and [`reduce`] are
//! shared.

mod adamw;
mod add_product;
mod attention;
mod cross_entropy;
mod embedding;
mod launch;
mod norm;
#[cfg(all(test, feature = "nvrtc"))]
mod nvrtc;
pub(crate) mod product;
mod projection;
mod reduce;
mod rows;
mod runtime;
mod sums;
mod swiglu;
mod tensors;
#[cfg(all(test, any(feature = "wgpu", feature = "cuda")))]
mod tests;
