//! What a backward pass computes again instead of keeping it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which activations of the forward pass are computed again in the backward pass, instead of being kept for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Recompute {
    /// None: every activation is kept.
    #[default]
    Nothing,
    /// Those of the decoder layers: only the input of each layer is kept, and the activations of one layer at a time are in
    /// memory. The gradients have the same bits; an update computes the forward pass of the layers twice.
    Layers,
}
