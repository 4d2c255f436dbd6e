//! The loss on held-out text: the mean cross-entropy over all its tokens.

use super::pass::judged;
use super::update::Training;
use crate::data::{DataError, DataFault, TokenBatch, ValidationBatches};
use crate::model::LlamaForCausalLm;
use crate::processes::{Lost, gather};
use burn::data::dataloader::DataLoader;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// The losses of the batches of an evaluation, on the host.
#[derive(Clone, Debug, Default)]
struct BatchLosses {
    /// Loss of each batch.
    losses: Vec<f32>,
    /// Its [weight](TokenBatch::weight).
    rows: Vec<f32>,
    /// The scores of a classifier, of one example after the other.
    scores: Vec<f32>,
}

/// An evaluation of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The mean loss: in nats a token or class, or the mean square of what numbers are missed by.
    pub loss: f64,
    /// The scores or numbers of a classifier, `[examples, outputs]`, in the order of the examples; empty for running text.
    pub scores: Vec<f32>,
}

impl BatchLosses {
    /// Evaluates `batches`; no batch waits for the one before it.
    fn of<B: Backend>(
        model: &LlamaForCausalLm<B>,
        batches: impl Iterator<Item = TokenBatch<B>>,
        mut each: impl FnMut(Tensor<B, 1>),
    ) -> Self {
        let (mut losses, mut rows, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for batch in batches {
            rows.push(batch.weight());
            let (loss, found) = judged(model, batch); // [1]
            losses.push(loss.clone());
            scores.extend(found.map(|found| found.flatten::<1>(0, 1)));
            each(loss);
        }
        let read = |tensors: Vec<Tensor<B, 1>>| match tensors.is_empty() {
            true => Vec::new(),
            false => Tensor::cat(tensors, 0).into_data().iter::<f32>().collect(),
        };
        Self {
            losses: read(losses),
            rows,
            scores: read(scores),
        }
    }

    /// The mean, weighted and summed in f64; NaN without a batch.
    fn mean(&self) -> f64 {
        let rows = self.rows.iter().copied().map(f64::from);
        let losses = self.losses.iter().copied().map(f64::from);
        let sum: f64 = losses
            .zip(rows.clone())
            .map(|(loss, rows)| loss * rows)
            .sum();
        sum / rows.sum::<f64>()
    }

    /// The number of batches, their losses and rows, and the scores.
    fn to_bytes(&self) -> Vec<u8> {
        let all = [self.losses.as_slice(), &self.rows, &self.scores].concat();
        let count = (self.losses.len() as u64).to_le_bytes();
        [&count, bytemuck::cast_slice(&all)].concat()
    }

    /// Adds the batches of another process after these.
    fn extend(&mut self, bytes: &[u8]) {
        let Some((count, rest)) = bytes.split_first_chunk() else {
            return;
        };
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(rest);
        let count = (u64::from_le_bytes(*count) as usize).min(all.len() / 2);
        let (losses, rest) = all.split_at(count);
        let (rows, scores) = rest.split_at(count);
        self.losses.extend(losses);
        self.rows.extend(rows);
        self.scores.extend(scores);
    }

    fn evaluated(self) -> Evaluated {
        Evaluated {
            loss: self.mean(),
            scores: self.scores,
        }
    }
}

impl<B: AutodiffBackend> Training<B> {
    /// Evaluates the model on all batches of all processes, of which this one has `count`, in `batches`; `None` if a process
    /// has stopped before its last batch. The mean loss is weighted by what the batches predict.
    ///
    /// `each` is called with the loss `[1]` of each batch of this process. The losses are summed in the order of the
    /// batches, so that the result does not depend on the number of processes.
    ///
    /// # Errors
    ///
    /// [`Lost`] if another process is.
    pub fn evaluate(
        &self,
        batches: impl Iterator<Item = TokenBatch<B::InnerBackend>>,
        count: usize,
        each: impl FnMut(Tensor<B::InnerBackend, 1>),
    ) -> Result<Option<Evaluated>, Lost> {
        let own = BatchLosses::of(&self.model().valid(), batches, each);
        let done = own.losses.len() == count;
        let answer = [vec![u8::from(done)], own.to_bytes()].concat();
        let mut all = BatchLosses::default();
        let mut whole = true;
        for answer in gather(self.processes(), answer)? {
            let (done, losses) = answer.split_at(answer.len().min(1));
            whole &= done == [1];
            all.extend(losses);
        }
        Ok(whole.then(|| all.evaluated()))
    }
}

/// Evaluates a model on all of `batches`. The mean loss is weighted by what the batches predict.
///
/// # Errors
///
/// [`DataError::Packed`] if a file of tokens has changed since it was opened.
pub fn evaluate<B: Backend>(
    model: &LlamaForCausalLm<B>,
    batches: &ValidationBatches,
    device: &B::Device,
) -> Result<Evaluated, DataError> {
    let fault = DataFault::default();
    let loader = batches.loader::<B>(device).reporting_to(&fault);
    let losses = BatchLosses::of(model, loader.iter(), |_| {});
    fault.take().map_or(Ok(losses.evaluated()), Err)
}
