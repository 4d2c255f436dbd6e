//! One training of a comparison: its losses, the peak of its memory, and the spectrum of what it changed.

use super::curve::CurveJob;
use crate::results::Curve;
use crate::spectrum::{LayerChange, changes};
use anyhow::Result;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};
use switchlora_train::backend::Job;
use switchlora_train::memory::resident;

/// What one training of a comparison found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialResult {
    /// Its losses.
    pub curve: Curve,
    /// The largest resident set of its process, in bytes, where the system says.
    pub peak_memory: Option<u64>,
    /// Updates that were refused because a loss or gradient norm was not finite.
    pub skipped: u64,
    /// The change of each projection; none where a weight is not finite.
    pub changes: Vec<LayerChange>,
}

pub(super) struct Trial(pub CurveJob);

impl Job for Trial {
    type Output = Result<TrialResult>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<TrialResult> {
        let trained = self.0.train::<B>(&device)?;
        // Before the singular values, which are not the training's.
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
