//! Trainings that the memory of a machine cannot hold.

use super::setup::Setup;
use crate::backend::BackendKind;
use crate::memory::installed;
use crate::plan::{Batch, bytes};

/// A training needs more memory than the machine has.
#[derive(Debug, thiserror::Error)]
pub enum TooLarge {
    /// The state alone does not fit.
    #[error(
        "model {model} needs {} of memory for weights, gradients and moments, this machine has {}: choose a smaller \
         --model, another --method or a lower --rank",
        bytes(*needed),
        bytes(*installed)
    )]
    State {
        /// The model.
        model: String,
        /// Bytes of the state of all processes on the machine.
        needed: u64,
        /// Bytes of memory and swap space.
        installed: u64,
    },
    /// The state fits, and a batch beside it does not.
    #[error(
        "batch_size {batch} x sequence_length {length} on model {model} needs at least {} of memory, this machine has \
         {}: choose a smaller --batch-size (with more --accumulation) or --sequence-length",
        bytes(*needed),
        bytes(*installed)
    )]
    Batch {
        /// The model.
        model: String,
        /// Sequences of a batch.
        batch: usize,
        /// Tokens of a sequence.
        length: usize,
        /// Bytes at the peak of an update of all processes on the machine.
        needed: u64,
        /// Bytes of memory and swap space.
        installed: u64,
    },
}

impl Setup {
    /// Refuses a training on a CPU that the machine's memory, which its `processes` share, cannot hold: the system would
    /// end it without a word.
    ///
    /// # Errors
    ///
    /// The training is too large. Never on a GPU, or where the system does not report its memory.
    pub fn check_memory(&self, backend: BackendKind, processes: usize) -> Result<(), TooLarge> {
        let Some(installed) = installed().filter(|_| backend.is_cpu()) else {
            return Ok(());
        };
        let of_all = |bytes: u64| bytes.saturating_mul(processes as u64);
        let state = of_all(self.cost(processes).state_bytes());
        let needed = self.peak_bytes(processes).map_or(state, of_all);
        let model = self.experiment.model.clone();
        if state > installed {
            return Err(TooLarge::State {
                model,
                needed: state,
                installed,
            });
        }
        if needed > installed {
            return Err(TooLarge::Batch {
                model,
                batch: self.experiment.batch_size,
                length: self.experiment.sequence_length,
                needed,
                installed,
            });
        }
        Ok(())
    }

    /// The least memory of one of the `processes` at the peak of an update, which is [a little less](crate::plan) than
    /// what is used. `None` for a fine-tuning, whose batches are as long as their texts.
    pub fn peak_bytes(&self, processes: usize) -> Option<u64> {
        let cost = self.cost(processes);
        let peak = || Batch::of(&self.experiment).peak_bytes(&self.model, &cost);
        self.task.is_none().then(peak)
    }
}
