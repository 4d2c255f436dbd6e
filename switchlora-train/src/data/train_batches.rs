//! An endless stream of batches to train on, any of which is known by its number alone.
//!
//! The `j`-th sequence of batch `k` is number `k * batch_size + j` of the stream. `number / windows` is its epoch, and
//! `number % windows` its place in that epoch's own shuffle of the windows. Nothing is drawn from a generator that would
//! have to be saved: a run that resumes at batch `k` continues exactly as it would have.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::backend::Backend;

use super::permutation::mix;
use super::{BatchSource, DataError, Permutation, TokenLoader, Windows};

/// Shuffled batches without end: each epoch has every window once, in an order of its own.
#[derive(Clone, Debug)]
pub struct TrainBatches {
    windows: Windows,
    batch_size: usize,
    seed: u64,
}

impl TrainBatches {
    /// Batches of `batch_size` windows in an order that `seed` chooses.
    ///
    /// # Errors
    ///
    /// [`DataError::ZeroSize`] for a batch size of 0.
    pub fn new(windows: Windows, batch_size: usize, seed: u64) -> Result<Self, DataError> {
        if batch_size == 0 {
            return Err(DataError::ZeroSize { what: "batch size" });
        }
        Ok(Self {
            windows,
            batch_size,
            seed,
        })
    }

    /// The windows the batches are made of.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Inputs and targets of batch `k`, `batch_size` rows of `sequence_length` each.
    ///
    /// # Errors
    ///
    /// [`DataError::Packed`] if a file of tokens is not what it was any more.
    pub fn batch(&self, k: u64) -> Result<(Vec<i32>, Vec<i32>), DataError> {
        let first = k * self.batch_size as u64;
        self.windows
            .gather((0..self.batch_size).map(|j| self.position(first + j as u64)))
    }

    /// The batches with a number in `range`, on a device.
    pub fn loader<B: Backend>(&self, range: Range<u64>, device: &B::Device) -> TokenLoader<B> {
        TokenLoader::new(Arc::new(self.clone()), range, device)
    }

    /// The window that is sequence `number` of the stream.
    fn position(&self, number: u64) -> u64 {
        let windows = self.windows.count();
        Permutation::new(windows, mix(self.seed, number / windows)).get(number % windows)
    }
}

impl BatchSource for TrainBatches {
    fn sequence_length(&self) -> usize {
        self.windows.sequence_length()
    }

    fn batch(&self, k: u64) -> Result<(Vec<i32>, Vec<i32>), DataError> {
        self.batch(k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(windows: usize, batch_size: usize, seed: u64) -> TrainBatches {
        let tokens: Vec<u32> = (0..=windows as u32 * 3).collect();
        let windows = Windows::new(tokens, 3, 1_000_000).unwrap();
        TrainBatches::new(windows, batch_size, seed).unwrap()
    }

    /// First inputs of the sequences in these batches: each window has another one.
    fn starts(stream: &TrainBatches, batches: Range<u64>) -> Vec<i32> {
        batches
            .flat_map(|k| stream.batch(k).unwrap().0.into_iter().step_by(3))
            .collect()
    }

    proptest! {
        #[test]
        fn each_epoch_has_every_window_once(windows in 1_usize..60, batch_size in 1_usize..9, seed: u64) {
            // As many batches as windows are `batch_size` epochs.
            let starts = starts(&stream(windows, batch_size, seed), 0..windows as u64);
            for epoch in starts.chunks(windows) {
                let mut epoch = epoch.to_vec();
                epoch.sort_unstable();
                prop_assert!(epoch.into_iter().eq((0..windows as i32).map(|window| window * 3)));
            }
        }

        #[test]
        fn the_order_of_sequences_does_not_depend_on_the_batch_size(seed: u64) {
            let one = starts(&stream(20, 1, seed), 0..60);
            prop_assert_eq!(&one, &starts(&stream(20, 6, seed), 0..10));
        }
    }

    #[test]
    fn targets_are_the_tokens_that_come_next() {
        let (inputs, targets) = stream(10, 4, 1).batch(123).unwrap();
        assert!(
            inputs
                .iter()
                .zip(&targets)
                .all(|(input, target)| input + 1 == *target)
        );
        assert_eq!(inputs.len(), 12);
    }

    #[test]
    fn epochs_and_seeds_differ_in_their_order() {
        let one = stream(50, 50, 1);
        let batch = |stream: &TrainBatches, k| stream.batch(k).unwrap();
        assert_ne!(batch(&one, 0), batch(&one, 1));
        assert_ne!(batch(&one, 0), batch(&stream(50, 50, 2), 0));
        assert_eq!(batch(&one, 0), batch(&stream(50, 50, 1), 0));
    }

    #[test]
    fn a_batch_of_nothing_is_refused() {
        let windows = Windows::new([0; 9], 3, 1).unwrap();
        let error = TrainBatches::new(windows, 0, 1).unwrap_err();
        assert!(matches!(error, DataError::ZeroSize { what: "batch size" }));
    }
}
