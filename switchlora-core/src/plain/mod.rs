//! SwitchLoRA on plain weights: any Burn model, unchanged.
//!
//! A [layer](crate::SwitchLoraLinear) computes with `W + s AᵀB`. Here the module has that sum as its plain weight `P`, and the
//! optimizer holds the factors. The gradients of the factors follow from the weight's own gradient `G`:
//!
//! ```text
//! dA = s B Gᵀ        dB = s A G        P <- P + s (A'ᵀB' - AᵀB)
//! ```
//!
//! and a switch changes nothing in `P`: the frozen weight `P - s AᵀB`, which nobody holds, absorbs what the factors lose. So
//! moments, candidates and what is sent to other devices are as small as with layers, and the model is plain at all times. What
//! this form does not save is the memory of `G`.
//!
//! [`Weights`] is the rule that names the weights; [`HeldFactors`] are the factors.

mod held;
mod weights;

pub use weights::Weights;

pub(crate) use held::HeldFactors;
pub(crate) use weights::Named;
