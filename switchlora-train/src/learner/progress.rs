//! Where a run is, and how it ended.

use crate::checkpoint::{self, Evaluation, State};
use std::path::Path;

/// Where a run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Updates done, skipped ones included.
    pub step: u64,
    /// Updates skipped because their loss or gradient norm was not finite.
    pub skipped: u64,
    /// Which of the last hundred updates were skipped.
    pub recent_skips: Vec<u64>,
    /// The last training loss.
    pub loss: Option<f64>,
    /// The last evaluation.
    pub evaluation: Option<Evaluation>,
    /// The best evaluation of a state that has a checkpoint.
    pub best: Option<Evaluation>,
    /// Whether a fine-tuning has stopped getting better, and ends before its last update.
    pub is_done_early: bool,
}

impl Progress {
    /// Whether all of `steps` updates are done and evaluated.
    pub(super) fn is_complete(&self, steps: u64) -> bool {
        let evaluated = self.evaluation.map(|evaluation| evaluation.step);
        self.is_done_early || self.step >= steps && evaluated == Some(self.step)
    }

    /// Takes note of an evaluation of a state that has a checkpoint, or is about to have one.
    pub(super) fn found(&mut self, evaluation: Evaluation) {
        let better = self
            .best
            .is_none_or(|best| evaluation.is_better_than(&best));
        if evaluation.loss.is_finite() && better {
            self.best = Some(evaluation);
        }
    }

    /// Where the run in `out` was when it wrote the checkpoint with `state`. `alike` says that its evaluations are of the same
    /// sequences as those to come: else the best one says nothing of them.
    pub(super) fn of(state: &State, out: &Path, alike: bool) -> Self {
        // The best checkpoint may have been removed, or set aside as damaged.
        let kept = |best: &Evaluation| alike && checkpoint::exists(out, best.step);
        Self {
            step: state.step,
            skipped: state.skipped,
            recent_skips: state.recent_skips.clone(),
            loss: None,
            evaluation: state.best,
            best: state.best.filter(kept),
            is_done_early: false,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// All updates are done.
    Finished(Progress),
    /// It was asked to stop; the work is saved.
    Interrupted(Progress),
    /// It failed; what could be saved is.
    Failed(anyhow::Error, Progress),
}
