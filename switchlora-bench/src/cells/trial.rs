//! One training of a comparison: losses, peak memory, and the spectrum of the weight changes.

use super::curve::CurveJob;
use crate::results::Curve;
use crate::spectrum::{LayerChange, changes};
use anyhow::Result;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};
use switchlora_train::backend::Job;
use switchlora_train::memory::resident;

/// Result of one training of a comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialResult {
    /// Losses by update; fewer than the training has updates if it ended because too many of them were skipped.
    pub curve: Curve,
    /// Peak resident memory of the process in bytes; `None` if the system does not report it.
    pub peak_memory: Option<u64>,
    /// Number of updates skipped because their loss or gradient norm was not finite.
    pub skipped: u64,
    /// Weight change of each projection; empty if a weight is not finite.
    pub changes: Vec<LayerChange>,
}

pub(super) struct Trial(pub CurveJob);

impl Job for Trial {
    type Output = Result<TrialResult>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<TrialResult> {
        let trained = self.0.train::<B>(&device)?;
        // Read before the singular values are computed, which need memory of their own.
        let peak_memory = resident().map(|memory| memory.peak);
        let start = self.0.setup.new_model::<B>(&device)?;
        let end = trained.training.model();
        let changes = changes(&start.valid(), &end.valid()).unwrap_or_default();
        Ok(TrialResult {
            curve: trained.result.curve,
            peak_memory,
            skipped: trained.training.optimizer().skipped(),
            changes,
        })
    }
}
