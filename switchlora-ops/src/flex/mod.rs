//! Kernels for Flex, on slices of f32. One file or folder per operation, which implements its traits.
//!
//! The shared parts are [`product`] (matrix products on all threads), [`matrix`] (views), [`slices`] (conversion of tensors),
//! [`output`] (memory that a kernel fills), [`reduce`] (sums), [`thin`] (passes over whole weights) and [`exponential`].

mod adamw;
mod add_product;
mod attention;
mod cross_entropy;
mod embedding;
mod exponential;
pub(crate) mod host;
mod matrix;
mod norm;
mod output;
mod product;
mod projection;
mod reduce;
mod rows;
mod slices;
mod swiglu;
mod thin;

pub(crate) use product::has_matrix_units;
