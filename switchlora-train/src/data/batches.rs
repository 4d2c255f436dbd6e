//! Loads batches of sequences to a device, through Burn's `DataLoader`.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::DataError;

/// Input ids of a batch, and what is to be predicted.
#[derive(Clone, Debug)]
pub struct TokenBatch<B: Backend> {
    /// Token ids, `[batch, sequence]`.
    pub inputs: Tensor<B, 2, Int>,
    /// What is to be predicted.
    pub targets: Targets<B>,
}

/// What a model predicts of a batch `[batch, sequence]`.
#[derive(Clone, Debug)]
pub enum Targets<B: Backend> {
    /// The next token of each input, `[batch, sequence]`.
    Next(Tensor<B, 2, Int>),
    /// The next token, or the class of the text, after some of the inputs.
    At {
        /// Which inputs, in `[batch * sequence]`: `[targets]`.
        positions: Tensor<B, 1, Int>,
        /// Token or class after each of them, `[targets]`.
        ids: Tensor<B, 1, Int>,
    },
    /// A number after some of the inputs.
    Values {
        /// Which inputs, in `[batch * sequence]`: `[targets]`.
        positions: Tensor<B, 1, Int>,
        /// The number after each of them, `[targets]`.
        values: Tensor<B, 1>,
    },
}

/// A batch in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBatch {
    /// Token ids, row-major, `[batch, length]`.
    pub inputs: Vec<i32>,
    /// Tokens in a row.
    pub length: usize,
    /// What is to be predicted.
    pub targets: HostTargets,
}

/// [`Targets`] in host memory.
#[derive(Clone, Debug, PartialEq)]
pub enum HostTargets {
    /// See [`Targets::Next`].
    Next(Vec<i32>),
    /// See [`Targets::At`]: positions and ids.
    At(Vec<i32>, Vec<i32>),
    /// See [`Targets::Values`]: positions and values.
    Values(Vec<i32>, Vec<f32>),
}

impl HostBatch {
    /// The batch on a device.
    ///
    /// # Panics
    ///
    /// If the number of inputs or next tokens is not a multiple of the length, or the length is 0.
    pub fn on<B: Backend>(self, device: &B::Device) -> TokenBatch<B> {
        let length = self.length;
        let rows = |ids: Vec<i32>| {
            let rows = ids.len() / length;
            Tensor::from_data(TensorData::new(ids, [rows, length]), device)
        };
        let ids = |ids: Vec<i32>| Tensor::<B, 1, Int>::from_data(ids.as_slice(), device);
        TokenBatch {
            inputs: rows(self.inputs),
            targets: match self.targets {
                HostTargets::Next(next) => Targets::Next(rows(next)),
                HostTargets::At(positions, targets) => Targets::At {
                    positions: ids(positions),
                    ids: ids(targets),
                },
                HostTargets::Values(positions, values) => Targets::Values {
                    positions: ids(positions),
                    values: Tensor::from_data(values.as_slice(), device),
                },
            },
        }
    }
}

impl<B: Backend> TokenBatch<B> {
    /// Puts rows of `sequence_length` ids, and the next token of each, on a device, row-major.
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
        let batch = HostBatch {
            inputs,
            length: sequence_length,
            targets: HostTargets::Next(targets),
        };
        batch.on(device)
    }

    /// What its loss is the mean of, as a weight beside other batches: predictions, or rows of one length.
    pub fn weight(&self) -> f32 {
        match &self.targets {
            Targets::Next(next) => next.dims()[0] as f32,
            Targets::At { positions, .. } | Targets::Values { positions, .. } => {
                positions.dims()[0] as f32
            }
        }
    }
}

/// Computes a batch from its number.
type BatchSource = dyn Fn(u64) -> Result<HostBatch, DataError> + Send + Sync;

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
    range: Range<u64>,
    device: B::Device,
    fault: DataFault,
}

impl<B: Backend> TokenLoader<B> {
    /// Loads the batches whose number is in `range`. `source` computes a batch from its number.
    pub fn new(
        source: impl Fn(u64) -> Result<HostBatch, DataError> + Send + Sync + 'static,
        range: Range<u64>,
        device: &B::Device,
    ) -> Self {
        Self {
            source: Arc::new(source),
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
        let batch = batch.map_err(|error| loader.fault.put(error)).ok()?;
        self.next += 1;
        Some(batch.on(&loader.device))
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
        loader.iter().map(pair).collect()
    }

    fn pair(batch: TokenBatch<TestBackend>) -> (Vec<i32>, Vec<i32>) {
        match batch.targets {
            Targets::Next(next) => (ids(batch.inputs), ids(next)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_loader_gives_the_batches_of_its_range_and_counts_them() {
        let stream = stream();
        let loader = stream.loader::<TestBackend>(3..7, &Default::default());
        let host = |k| stream.batch(k).unwrap().on(&Default::default());
        let expected: Vec<_> = (3..7).map(|k| pair(host(k))).collect();
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
