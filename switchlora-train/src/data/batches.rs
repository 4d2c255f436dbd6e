//! Loads batches of sequences to a device, through Burn's `DataLoader`.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::DataError;

/// Input ids and target ids of a batch.
#[derive(Clone, Debug)]
pub struct TokenBatch<B: Backend> {
    /// Token ids. `[batch, sequence]`
    pub inputs: Tensor<B, 2, Int>,
    /// The next token of each input: the inputs shifted by one. `[batch, sequence]`
    pub targets: Tensor<B, 2, Int>,
}

impl<B: Backend> TokenBatch<B> {
    /// Puts rows of `sequence_length` ids on a device, row-major.
    ///
    /// # Panics
    ///
    /// If the length of `inputs` or `targets` is not a multiple of `sequence_length`, or `sequence_length` is 0.
    pub fn new(
        inputs: Vec<i32>,
        targets: Vec<i32>,
        sequence_length: usize,
        device: &B::Device,
    ) -> Self {
        let tensor = |ids: Vec<i32>| {
            let rows = ids.len() / sequence_length;
            Tensor::from_data(TensorData::new(ids, [rows, sequence_length]), device)
        };
        Self {
            inputs: tensor(inputs),
            targets: tensor(targets),
        }
    }
}

/// Computes the inputs and targets of a batch from its number: token ids in host memory, row-major, `[batch, sequence]`.
type BatchSource = dyn Fn(u64) -> Result<(Vec<i32>, Vec<i32>), DataError> + Send + Sync;

/// The error that ended a loader early. Clones share it.
///
/// Burn's `DataLoader` cannot return an error, so a [`TokenLoader`] that fails stops and stores the error here.
#[derive(Clone, Debug, Default)]
pub struct DataFault(Arc<Mutex<Option<DataError>>>);

impl DataFault {
    /// Takes the error, if there is one.
    pub fn take(&self) -> Option<DataError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: DataError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// A range of batches, on a device. An item of the `DataLoader` is a batch, so Burn's progress counts batches.
#[derive(Clone)]
pub struct TokenLoader<B: Backend> {
    source: Arc<BatchSource>,
    sequence_length: usize,
    range: Range<u64>,
    device: B::Device,
    fault: DataFault,
}

impl<B: Backend> TokenLoader<B> {
    /// Loads the batches whose number is in `range`. `source` computes a batch from its number: inputs and targets,
    /// row-major, `[batch, sequence_length]`.
    pub fn new(
        source: impl Fn(u64) -> Result<(Vec<i32>, Vec<i32>), DataError> + Send + Sync + 'static,
        sequence_length: usize,
        range: Range<u64>,
        device: &B::Device,
    ) -> Self {
        Self {
            source: Arc::new(source),
            sequence_length,
            range,
            device: device.clone(),
            fault: DataFault::default(),
        }
    }

    /// Stores the error that ends the loader early in `fault`.
    pub fn reporting_to(mut self, fault: &DataFault) -> Self {
        self.fault = fault.clone();
        self
    }
}

impl<B: Backend> DataLoader<B, TokenBatch<B>> for TokenLoader<B> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<TokenBatch<B>> + 'a> {
        Box::new(TokenLoaderIterator {
            loader: self,
            next: self.range.start,
        })
    }

    fn num_items(&self) -> usize {
        self.range.end.saturating_sub(self.range.start) as usize
    }

    fn to_device(&self, device: &B::Device) -> Arc<dyn DataLoader<B, TokenBatch<B>>> {
        let device = device.clone();
        Arc::new(Self {
            device,
            ..self.clone()
        })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<B, TokenBatch<B>>> {
        let number = |item: usize| (self.range.start + item as u64).min(self.range.end);
        let range = number(start)..number(end);
        Arc::new(Self {
            range,
            ..self.clone()
        })
    }
}

struct TokenLoaderIterator<'a, B: Backend> {
    loader: &'a TokenLoader<B>,
    next: u64,
}

impl<B: Backend> Iterator for TokenLoaderIterator<'_, B> {
    type Item = TokenBatch<B>;

    fn next(&mut self) -> Option<TokenBatch<B>> {
        let loader = self.loader;
        if !loader.range.contains(&self.next) {
            return None;
        }
        let batch = (loader.source)(self.next);
        let (inputs, targets) = batch.map_err(|error| loader.fault.put(error)).ok()?;
        self.next += 1;
        let (length, device) = (loader.sequence_length, &loader.device);
        Some(TokenBatch::new(inputs, targets, length, device))
    }
}

impl<B: Backend> DataLoaderIterator<TokenBatch<B>> for TokenLoaderIterator<'_, B> {
    fn progress(&self) -> Progress {
        let done = self.next - self.loader.range.start;
        Progress::new(done as usize, self.loader.num_items())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{TrainBatches, Windows};

    type TestBackend = burn_ndarray::NdArray;

    fn stream() -> TrainBatches {
        let windows = Windows::new((0..101).collect::<Vec<_>>(), 5, 101).unwrap();
        TrainBatches::new(windows, 2, 9).unwrap()
    }

    fn ids(tensor: Tensor<TestBackend, 2, Int>) -> Vec<i32> {
        tensor.into_data().convert::<i32>().to_vec().unwrap()
    }

    fn numbers(
        loader: &dyn DataLoader<TestBackend, TokenBatch<TestBackend>>,
    ) -> Vec<(Vec<i32>, Vec<i32>)> {
        loader
            .iter()
            .map(|batch| (ids(batch.inputs), ids(batch.targets)))
            .collect()
    }

    #[test]
    fn a_loader_gives_the_batches_of_its_range_and_counts_them() {
        let stream = stream();
        let loader = stream.loader::<TestBackend>(3..7, &Default::default());
        let expected: Vec<_> = (3..7).map(|k| stream.batch(k).unwrap()).collect();
        assert_eq!(numbers(&loader), expected);

        let mut iterator = loader.iter();
        assert_eq!(iterator.next().unwrap().inputs.dims(), [2, 5]);
        let progress = iterator.progress();
        assert_eq!((progress.items_processed, progress.items_total), (1, 4));
    }

    #[test]
    fn slices_are_the_whole_in_parts() {
        let loader = stream().loader::<TestBackend>(3..10, &Default::default());
        let mut parts = numbers(&*loader.slice(0, 2));
        parts.extend(numbers(&*loader.slice(2, 7).to_device(&Default::default())));
        assert_eq!(parts, numbers(&loader));
        assert_eq!(loader.slice(5, 99).num_items(), 2);
    }
}
