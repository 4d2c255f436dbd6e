//! Products of large matrices: several at once, each a sum of terms, written in place.
//!
//! A thread computes parts of products, each as a product of its own. The threads of one shared product would wait for each other
//! several times, and waking a thread takes time. With separate parts, a training step with a hundred products of
//! 1024 x 256 x 256 takes a tenth less time on two cores. Independent products are computed together and most of them are not
//! divided, so that no operand is packed twice.
//!
//! In f32, the `gemm` crate computes a part ([`single`]). In bf16, operands are rounded and sums are f32: with matrix units in
//! [`tiles`], otherwise in [`rounded`].

mod multiplier;
mod operand;
mod parts;
mod rounded;
mod single;
mod terms;
#[cfg(test)]
mod tests;
mod threads;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod units;

pub(super) use multiplier::Multiplier;
pub(super) use terms::Product;
pub(crate) use units::has_matrix_units;
pub(super) use units::small_by_units;
