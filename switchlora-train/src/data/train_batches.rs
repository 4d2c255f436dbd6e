//! An endless stream of training batches, each computed from its number alone.
//!
//! Sequence `j` of batch `k` is number `k * batch_size + j` of the stream. Its epoch is `number / windows`, and its place
//! in that epoch's shuffle of the windows is `number % windows`. No random generator has a state to save: a run that
//! resumes at batch `k` continues exactly as an uninterrupted run.
//!
//! With weights, each file has its own epochs, and a fixed pattern (`mixture.rs`) gives the file of each sequence. Several
//! processes share the batches of each update in their order, and train on the same sequences as one process.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::backend::Backend;

use super::batches::{HostBatch, HostTargets};
use super::examples::Examples;
use super::mixture::Mixture;
use super::permutation::mix;
use super::{DataError, Permutation, TokenLoader, Windows};

/// The batches of an update that a process takes: `own` of `all`, from number `first` on.
#[derive(Clone, Copy, Debug)]
struct Share {
    first: u64,
    own: u64,
    all: u64,
}

/// Endless shuffled batches: each epoch has every window, or every example, once, in its own order.
#[derive(Clone, Debug)]
pub struct TrainBatches {
    of: Sequences,
    batch_size: usize,
    seed: u64,
    share: Share,
}

/// What batches are made of.
#[derive(Clone, Debug)]
enum Sequences {
    Windows {
        windows: Windows,
        mixture: Option<Arc<Mixture>>,
    },
    Examples(Arc<Examples>),
}

impl TrainBatches {
    /// Batches of `batch_size` windows in an order that `seed` chooses.
    ///
    /// # Errors
    ///
    /// [`DataError::ZeroSize`] for a batch size of 0.
    pub fn new(windows: Windows, batch_size: usize, seed: u64) -> Result<Self, DataError> {
        let mixture = None;
        Self::of(Sequences::Windows { windows, mixture }, batch_size, seed)
    }

    /// Batches of `batch_size` examples of similar lengths in an order that `seed` chooses; the last batch of an epoch may be
    /// smaller.
    ///
    /// # Errors
    ///
    /// [`DataError::ZeroSize`] for a batch size of 0.
    pub fn of_examples(
        examples: Arc<Examples>,
        batch_size: usize,
        seed: u64,
    ) -> Result<Self, DataError> {
        Self::of(Sequences::Examples(examples), batch_size, seed)
    }

    fn of(of: Sequences, batch_size: usize, seed: u64) -> Result<Self, DataError> {
        if batch_size == 0 {
            return Err(DataError::ZeroSize { what: "batch size" });
        }
        Ok(Self {
            of,
            batch_size,
            seed,
            share: Share {
                first: 0,
                own: 1,
                all: 1,
            },
        })
    }

    /// Weights each row of tokens (each file): with weights 3 and 1, three of four sequences are from the first file,
    /// whatever the lengths of the files.
    ///
    /// # Errors
    ///
    /// [`DataError::Weights`] unless there is one number above 0 per row and every row has a whole sequence.
    ///
    /// Examples are not weighted.
    pub fn with_weights(mut self, weights: &[f64]) -> Result<Self, DataError> {
        let Sequences::Windows { windows, mixture } = &mut self.of else {
            return Ok(self);
        };
        let rows = windows.rows();
        match Mixture::new(weights, mix(self.seed, 1)) {
            Some(mixed) if rows.len() == weights.len() && rows.iter().all(|row| row.1 > 0) => {
                *mixture = Some(Arc::new(mixed));
                Ok(self)
            }
            _ => Err(DataError::Weights {
                found: weights.to_vec(),
                files: rows.len(),
            }),
        }
    }

    /// The share of process `rank` of `processes`: of each `update` batches the `rank`-th of as many equal parts, in their
    /// order. Its batches are numbered from 0.
    ///
    /// # Panics
    ///
    /// If `rank` is not below `processes`, or the batches of an update cannot be shared evenly.
    pub fn for_rank(mut self, rank: usize, processes: usize, update: usize) -> Self {
        assert!(rank < processes, "rank {rank} of {processes} processes");
        assert!(
            update > 0 && update.is_multiple_of(processes),
            "{update} batches among {processes} processes"
        );
        let own = (update / processes) as u64;
        self.share = Share {
            first: rank as u64 * own,
            own,
            all: update as u64,
        };
        self
    }

    /// Number of windows or examples of an epoch.
    pub fn sequences(&self) -> u64 {
        match &self.of {
            Sequences::Windows { windows, .. } => windows.count(),
            Sequences::Examples(examples) => examples.count(),
        }
    }

    /// Batch `k`.
    ///
    /// # Errors
    ///
    /// [`DataError::Packed`] if a packed file is damaged, has changed since it was opened, or cannot be read.
    pub fn batch(&self, k: u64) -> Result<HostBatch, DataError> {
        let Share { first, own, all } = self.share;
        let number = k / own * all + first + k % own;
        let (windows, mixture) = match &self.of {
            Sequences::Windows { windows, mixture } => (windows, mixture.as_deref()),
            Sequences::Examples(examples) => {
                return Ok(examples.shuffled(number, self.batch_size, self.seed));
            }
        };
        let first = number * self.batch_size as u64;
        let positions =
            (0..self.batch_size).map(|j| position(windows, mixture, self.seed, first + j as u64));
        let (inputs, next) = windows.gather(positions)?;
        Ok(HostBatch {
            inputs,
            length: windows.sequence_length(),
            targets: HostTargets::Next(next),
        })
    }

    /// Loads the batches whose number is in `range` to a device.
    pub fn loader<B: Backend>(&self, range: Range<u64>, device: &B::Device) -> TokenLoader<B> {
        let batches = self.clone();
        TokenLoader::new(move |k| batches.batch(k), range, device)
    }
}

/// The window of sequence `number` of the stream.
fn position(windows: &Windows, mixture: Option<&Mixture>, seed: u64, number: u64) -> u64 {
    let shuffled = |seed, number, windows| {
        Permutation::new(windows, mix(seed, number / windows)).get(number % windows)
    };
    let Some(mixture) = mixture else {
        return shuffled(seed, number, windows.count());
    };
    let (row, number) = mixture.of(number);
    let (start, windows) = windows.rows()[row];
    start + shuffled(mix(seed, 2 + row as u64), number, windows)
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

    /// First input of each sequence in these batches, which differs between windows.
    fn starts(stream: &TrainBatches, batches: Range<u64>) -> Vec<i32> {
        batches
            .flat_map(|k| stream.batch(k).unwrap().inputs.into_iter().step_by(3))
            .collect()
    }

    proptest! {
        #[test]
        fn each_epoch_has_every_window_once(windows in 1_usize..60, batch_size in 1_usize..9, seed: u64) {
            // `windows` batches are `batch_size` epochs.
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

    proptest! {
        #[test]
        fn processes_share_the_batches_of_each_update_in_their_order(
            windows in 1_usize..40, batch_size in 1_usize..5, processes in 1_usize..5, each in 1_usize..4, seed: u64,
        ) {
            let one = stream(windows, batch_size, seed);
            let update = processes * each;
            let all = starts(&one, 0..3 * update as u64);
            let of = |rank| starts(&one.clone().for_rank(rank, processes, update), 0..3 * each as u64);
            let mut shared: Vec<_> = (0..processes).map(|rank| of(rank).into_iter()).collect();
            let mut joined = Vec::new();
            for _update in 0..3 {
                let own = shared.iter_mut().flat_map(|share| share.take(each * batch_size).collect::<Vec<_>>());
                joined.extend(own);
            }
            prop_assert_eq!(all, joined);
        }
    }

    #[test]
    fn files_with_weights_come_by_them_and_each_has_every_window_once_an_epoch() {
        let row = |from: u32, windows: u32| {
            super::super::Tokens::Memory((from..=from + 3 * windows).collect())
        };
        let windows = Windows::over(vec![row(0, 50), row(1000, 10)], 3, 2000).unwrap();
        let even = TrainBatches::new(windows.clone(), 8, 5)
            .unwrap()
            .with_weights(&[1.0, 1.0])
            .unwrap();
        let starts = starts(&even, 0..1024);
        let (long, short): (Vec<_>, Vec<_>) = starts.into_iter().partition(|&start| start < 1000);
        assert_eq!((long.len(), short.len()), (4096, 4096));
        for epoch in short.chunks_exact(10) {
            let mut epoch = epoch.to_vec();
            epoch.sort_unstable();
            assert!(
                epoch
                    .into_iter()
                    .eq((0..10).map(|window| 1000 + window * 3))
            );
        }
        for wrong in [&[1.0][..], &[1.0, 0.0], &[1.0, 1.0, 1.0]] {
            let batches = TrainBatches::new(windows.clone(), 8, 5).unwrap();
            let error = batches.with_weights(wrong).unwrap_err().to_string();
            assert!(error.contains("2 packed files"), "{error}");
        }
    }

    #[test]
    fn targets_are_the_tokens_that_come_next() {
        let batch = stream(10, 4, 1).batch(123).unwrap();
        let (HostTargets::Next(targets), inputs) = (batch.targets, batch.inputs) else {
            panic!("a window has a next token everywhere")
        };
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
