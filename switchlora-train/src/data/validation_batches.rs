//! Batches of the validation set: all windows in order, or a number of them spread evenly.

use burn::tensor::backend::Backend;
use std::sync::Arc;

use super::batches::{HostBatch, HostTargets};
use super::examples::Examples;
use super::{DataError, TokenLoader, Windows};

/// Validation batches, the same in every evaluation.
#[derive(Clone, Debug)]
pub struct ValidationBatches {
    of: Sequences,
    batch_size: usize,
    chosen: u64,
}

/// What batches are made of.
#[derive(Clone, Debug)]
enum Sequences {
    Windows(Windows),
    Examples(Arc<Examples>),
}

impl ValidationBatches {
    /// Batches of `batch_size` windows; the last batch may be smaller.
    ///
    /// A `limit` below the number of windows chooses that many, evenly spaced from the first on.
    ///
    /// # Errors
    ///
    /// [`DataError::ZeroSize`] for a batch size or a limit of 0.
    pub fn new(windows: Windows, batch_size: usize, limit: Option<u64>) -> Result<Self, DataError> {
        if batch_size == 0 {
            return Err(DataError::ZeroSize { what: "batch size" });
        }
        if limit == Some(0) {
            return Err(DataError::ZeroSize {
                what: "limit of validation windows",
            });
        }
        let chosen = limit.unwrap_or(u64::MAX).min(windows.count());
        Ok(Self {
            of: Sequences::Windows(windows),
            batch_size,
            chosen,
        })
    }

    /// Batches of `batch_size` examples, all of them, in their order; the last batch may be smaller.
    ///
    /// # Errors
    ///
    /// [`DataError::ZeroSize`] for a batch size of 0.
    pub fn of_examples(examples: Arc<Examples>, batch_size: usize) -> Result<Self, DataError> {
        if batch_size == 0 {
            return Err(DataError::ZeroSize { what: "batch size" });
        }
        Ok(Self {
            batch_size,
            chosen: examples.count(),
            of: Sequences::Examples(examples),
        })
    }

    /// Number of sequences that there are, evaluated or not.
    pub fn available(&self) -> u64 {
        match &self.of {
            Sequences::Windows(windows) => windows.count(),
            Sequences::Examples(examples) => examples.count(),
        }
    }

    /// Number of sequences evaluated.
    pub fn sequences(&self) -> u64 {
        self.chosen
    }

    /// Number of batches.
    pub fn count(&self) -> u64 {
        self.chosen.div_ceil(self.batch_size as u64)
    }

    /// Batch `k`; empty if `k` is not below [`count`](Self::count).
    ///
    /// # Errors
    ///
    /// [`DataError::Packed`] if a packed file is damaged, has changed since it was opened, or cannot be read.
    pub fn batch(&self, k: u64) -> Result<HostBatch, DataError> {
        let size = self.batch_size as u64;
        let first = (k * size).min(self.chosen);
        let rows = size.min(self.chosen - first);
        let windows = match &self.of {
            Sequences::Windows(windows) => windows,
            Sequences::Examples(examples) => return Ok(examples.batch(first..first + rows)),
        };
        let position = |j: u64| {
            // The product may exceed 64 bits.
            let position = u128::from(first + j) * u128::from(windows.count());
            (position / u128::from(self.chosen)) as u64
        };
        let (inputs, next) = windows.gather((0..rows as usize).map(|j| position(j as u64)))?;
        Ok(HostBatch {
            inputs,
            length: windows.sequence_length(),
            targets: HostTargets::Next(next),
        })
    }

    /// Loads all batches to a device.
    pub fn loader<B: Backend>(&self, device: &B::Device) -> TokenLoader<B> {
        self.loader_for_rank(0, 1, device)
    }

    /// Loads the share of process `rank` of `processes`: that many batches in a row, one more or less than the others.
    pub fn loader_for_rank<B: Backend>(
        &self,
        rank: usize,
        processes: usize,
        device: &B::Device,
    ) -> TokenLoader<B> {
        let batches = self.clone();
        let bound = |rank: usize| {
            let bound = u128::from(self.count()) * rank as u128 / processes as u128;
            bound as u64
        };
        let range = bound(rank)..bound(rank + 1);
        TokenLoader::new(move |k| batches.batch(k), range, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::data::dataloader::DataLoader;
    use proptest::prelude::*;

    type TestBackend = burn_ndarray::NdArray;

    fn batches(windows: u64, batch_size: usize, limit: Option<u64>) -> ValidationBatches {
        let tokens: Vec<u32> = (0..=windows as u32 * 2).collect();
        let windows = Windows::new(tokens, 2, 1_000_000).unwrap();
        ValidationBatches::new(windows, batch_size, limit).unwrap()
    }

    fn inputs(batches: &ValidationBatches) -> Vec<i32> {
        (0..batches.count())
            .flat_map(|k| batches.batch(k).unwrap().inputs)
            .collect()
    }

    proptest! {
        #[test]
        fn without_a_limit_the_text_is_measured_once_in_order(windows in 1_u64..50, batch_size in 1_usize..9) {
            let batches = batches(windows, batch_size, None);
            prop_assert!(inputs(&batches).into_iter().eq(0..windows as i32 * 2));
        }

        #[test]
        fn a_limit_spreads_that_many_windows_evenly(windows in 1_u64..50, limit in 1_u64..60, batch_size in 1_usize..9) {
            let batches = batches(windows, batch_size, Some(limit));
            let chosen: Vec<_> = inputs(&batches).into_iter().step_by(2).map(|start| start / 2).collect();
            prop_assert_eq!(chosen.len() as u64, limit.min(windows));
            prop_assert_eq!(chosen[0], 0);
            let gaps: Vec<_> = chosen.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (least, most) = (gaps.iter().min().copied(), gaps.iter().max().copied());
            prop_assert!(least.is_none_or(|least| least >= 1));
            prop_assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1));
        }
    }

    #[test]
    fn the_last_batch_has_what_is_left() {
        let loader = batches(10, 4, None).loader::<TestBackend>(&Default::default());
        let rows: Vec<_> = loader.iter().map(|batch| batch.inputs.dims()).collect();
        assert_eq!(rows, [[4, 2], [4, 2], [2, 2]]);
        assert_eq!(loader.num_items(), 3);
    }

    #[test]
    fn processes_share_the_batches_in_their_order() {
        let batches = batches(23, 4, None);
        let inputs = |loader: TokenLoader<TestBackend>| {
            let inputs = loader.iter().map(|batch| batch.inputs.into_data());
            inputs
                .flat_map(|data| data.iter::<i32>().collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        let device = Default::default();
        let all = inputs(batches.loader(&device));
        for processes in 1..9 {
            let of = |rank| inputs(batches.loader_for_rank(rank, processes, &device));
            assert_eq!((0..processes).flat_map(of).collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn measuring_on_nothing_is_refused() {
        let windows = Windows::new([0; 9], 3, 1).unwrap();
        for (batch_size, limit) in [(0, None), (1, Some(0))] {
            let error = ValidationBatches::new(windows.clone(), batch_size, limit).unwrap_err();
            assert!(matches!(error, DataError::ZeroSize { .. }));
        }
    }
}
