//! What another program drew or computed in a run, so that the run can be replayed update by update.

use crate::record::SideState;
use crate::switching::Exchange;
use burn::tensor::TensorData;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The recorded choices of a run. What is not recorded is drawn from the seed, or computed.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Uniform draws that round the number of switches, `[update][layer]`; 1 (never round up) beyond their end.
    pub draws: Option<Arc<Vec<Vec<f64>>>>,
    /// ReLoRA's restarts, `[restart][path of the layer]`.
    pub restarts: Option<Arc<Vec<BTreeMap<String, Restart>>>>,
    /// GaLore's projections, `[refresh][path of the layer]`, `[rank, min(d_input, d_output)]` each.
    pub projections: Option<Arc<Vec<BTreeMap<String, TensorData>>>>,
}

/// The start of one layer's new cycle in ReLoRA.
#[derive(Clone, Debug, PartialEq)]
pub struct Restart {
    /// The new A, `[rank, d_input]`.
    pub a: TensorData,
    /// Entries of the first and second moment of A, and of B, that stay, counted row by row.
    pub kept: [[Vec<usize>; 2]; 2],
}

/// The slot that each leaving vector of an exchange goes back to, and the slot that each entering one comes from, given the
/// side before and after the update.
pub fn slots(exchange: &Exchange, before: &SideState, after: &SideState) -> [Vec<u32>; 2] {
    [before, after].map(|side| exchange.rows.iter().map(|&row| side.live[row]).collect())
}
