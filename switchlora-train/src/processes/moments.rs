//! Where the moments of the optimizer are kept.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which process keeps the moments of a parameter, and updates it by them. The training has the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Moments {
    /// Every process keeps all of them and makes the whole update.
    #[default]
    Whole,
    /// Each process keeps those of its share of the parameters, updates these, and sends them to the others (stage 1 of ZeRO,
    /// Rajbhandari et al., arXiv 1910.02054). The same as whole in a process alone.
    Divided,
}
