//! The loss on documents that are evaluated one by one.

use super::report::scalar;
use crate::data::{DataError, Targets, TokenizerRecord, Tokens, each_document};
use crate::model::LlamaForCausalLm;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;
use switchlora_ops::in_pool;

/// Documents, each evaluated alone.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The tokens of all documents.
    pub rows: Vec<Tokens>,
    /// The ids between the documents in `rows`.
    pub record: TokenizerRecord,
    /// The ids put before each document.
    pub before: Vec<u32>,
    /// The ids put after each document.
    pub after: Vec<u32>,
    /// Tokens of the longest sequence, at least 1. A longer document is cut, each part evaluated alone; a part predicts
    /// the first token of the next.
    pub length: usize,
    /// Sequences of one length that are evaluated together.
    pub batch_size: usize,
}

/// Counts of documents that are evaluated alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone {
    /// All documents.
    pub documents: u64,
    /// Tokens predicted.
    pub predicted: u64,
    /// Documents cut into several sequences.
    pub cut: u64,
    /// Documents without a token that has one before it.
    pub empty: u64,
}

impl Documents {
    /// Counts what is evaluated.
    ///
    /// # Errors
    ///
    /// [`DataError::Packed`] if a packed file cannot be read.
    pub fn count(&self) -> Result<Alone, DataError> {
        let mut alone = Alone::default();
        self.each(|ids| {
            let predicted = ids.len().saturating_sub(1);
            alone.documents += 1;
            alone.predicted += predicted as u64;
            alone.cut += u64::from(predicted > self.length);
            alone.empty += u64::from(predicted == 0);
            Ok(())
        })?;
        Ok(alone)
    }

    /// Calls `each` with the ids of every document, those before and after it included.
    fn each(&self, mut each: impl FnMut(&[u32]) -> Result<(), DataError>) -> Result<(), DataError> {
        each_document(&self.rows, &self.record, |ids| {
            each(&[&self.before, ids, &self.after].concat())
        })
    }
}

/// The mean cross-entropy of all tokens that have one before them in their document, in nats a token, summed on the host.
///
/// # Errors
///
/// [`DataError::Packed`] if a packed file cannot be read.
pub fn mean_loss_alone<B: Backend>(
    model: &LlamaForCausalLm<B>,
    documents: &Documents,
    device: &B::Device,
) -> Result<f64, DataError> {
    let (mut sum, mut count) = (0.0, 0.0);
    // Sequences of one length wait for each other.
    let mut waiting: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let mut evaluate = |length: usize, ids: Vec<u32>| {
        let rows = ids.len() / (length + 1);
        let loss = loss(model, ids, [rows, length + 1], device);
        sum += loss * (rows * length) as f64;
        count += (rows * length) as f64;
    };
    documents.each(|ids| {
        let mut rest = ids;
        while rest.len() > 1 {
            let length = documents.length.min(rest.len() - 1);
            let batch = waiting.entry(length).or_default();
            batch.extend(&rest[..=length]);
            if batch.len() >= documents.batch_size.saturating_mul(length + 1) {
                evaluate(length, std::mem::take(batch));
            }
            rest = &rest[length..];
        }
        Ok(())
    })?;
    for (length, ids) in waiting {
        if !ids.is_empty() {
            evaluate(length, ids);
        }
    }
    Ok(sum / count)
}

/// The mean loss of rows of ids, each predicting all but the first.
fn loss<B: Backend>(
    model: &LlamaForCausalLm<B>,
    ids: Vec<u32>,
    [rows, width]: [usize; 2],
    device: &B::Device,
) -> f64 {
    let ids: Vec<i32> = ids.into_iter().map(|id| id as i32).collect();
    let device = device.clone();
    in_pool::<B, _>(move || {
        let ids = TensorData::new(ids, [rows, width]);
        let ids = Tensor::from_data(ids, &device); // [rows, width]
        let inputs = ids.clone().slice([0..rows, 0..width - 1]);
        let targets = ids.slice([0..rows, 1..width]);
        scalar(model.loss(inputs, Targets::Next(targets)))
    })
}
