//! Where a training is, in the terms of burn-train's dashboard.
//!
//! burn-train 0.21 counts epochs, and items within one. From both it computes the time left: as if each epoch had as many
//! items as the whole training if it is told updates of the whole training, and as if the updates before a checkpoint
//! were still to do if there is one epoch only. So an update is told as an epoch, which makes both exact, and its items
//! are the position between two evaluations, which the upper bar shows.

use burn::data::dataloader::Progress as Items;
use burn::train::renderer::{ProgressType, TrainingProgress};

/// The length of a training.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Position {
    /// Updates done when it starts.
    pub from: usize,
    /// Updates between two evaluations.
    pub stretch: usize,
}

impl Position {
    /// The position of a training that has done some updates.
    pub fn of_updates(&self, told: TrainingProgress) -> TrainingProgress {
        let Some(updates) = &told.progress else {
            return told;
        };
        let (done, total) = (updates.items_processed, updates.items_total);
        let stretch = self.stretch.clamp(1, total.max(1));
        let within = done.saturating_sub(1) % stretch + 1;
        TrainingProgress {
            progress: Some(Items::new(within, stretch)),
            global_progress: Items::new(done, total),
            iteration: Some(done),
        }
    }

    /// The lines of the dashboard's status.
    pub fn indicators(&self, told: &TrainingProgress) -> Vec<ProgressType> {
        let line = |tag: &str, progress: &Items| ProgressType::Detailed {
            tag: tag.to_owned(),
            progress: progress.clone(),
        };
        let items = told.progress.iter().map(|items| line("Done", items));
        let stretches = line("Evaluation", &told.global_progress);
        items.chain([stretches]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The time left that burn-train shows, with its own formula.
        #[test]
        fn the_time_left_is_that_of_the_updates_that_are_left(
            total in 1..2000usize, start in 0.0..1.0f64, warm in 0.0..1.0f64, at in 0.0..1.0f64, stretch in 1..3000usize,
        ) {
            let between = |from: usize, share: f64| from + ((total - from) as f64 * share) as usize;
            let from = between(0, start);
            let warm = between(from, warm);
            let done = between(warm, at);
            prop_assume!(from < warm && warm + 1 < done);
            let position = Position { from, stretch };
            let items = |done| {
                let told = TrainingProgress {
                    progress: Some(Items::new(done, total)),
                    global_progress: Items::new(1, 3),
                    iteration: Some(done),
                };
                position.of_updates(told)
            };
            let counted = |told: &TrainingProgress| {
                let items = told.progress.as_ref().unwrap();
                let epochs = told.global_progress.items_processed - from;
                (epochs - 1) * items.items_total + items.items_processed
            };
            let told = items(done);
            let of = told.progress.as_ref().unwrap().items_total * (told.global_progress.items_total - from);
            let share = (counted(&told) - counted(&items(warm))) as f64 / of as f64;
            // One second per update.
            let left = (done - warm) as f64 / share * (1.0 - share);
            let exact = (total - done) as f64;
            // burn-train adds the time before it begins to measure. The items of an update are off by less than an update.
            let before = (warm - from) as f64;
            let rounding = (total - from) as f64 / (done - warm - 1) as f64;
            prop_assert!((left - before - exact).abs() <= rounding, "{left} {before} {exact}");
        }
    }
}
