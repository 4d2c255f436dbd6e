//! A linear layer that is trained through two factors of low rank: `y = x (W + s AᵀB) + bias` (Equation 1).
//!
//! With `n` inputs and `m` outputs, `W: [n, m]` is frozen, `A: [rank, n]` and `B: [rank, m]` are trained, and
//! `s = alpha / rank`. LoRA vectors are the ROWS of both factors, so that exchanging one, resetting its optimizer state
//! and freezing it is the same row operation on either side. Without a rank the layer is a plain linear one, so that every
//! method trains the same model type.
//!
//! [`layer`] is the layer, [`config`] how one is made, [`module`] and [`record`] what Burn needs, [`scale`] how the
//! optimizer learns a layer's scale.

mod config;
mod layer;
mod module;
mod record;
mod record_error;
mod record_item;
mod scale;

pub use config::{FactorInit, SwitchLoraLinearConfig};
pub use layer::{SwitchLoraLinear, forward_together};
pub use record::{LayerKind, SwitchLoraLinearRecord};
pub use record_error::LayerRecordError;
pub use record_item::SwitchLoraLinearRecordItem;

pub(crate) use config::validate_alpha;
pub(crate) use scale::announced;
