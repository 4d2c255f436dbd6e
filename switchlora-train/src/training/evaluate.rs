//! The loss on held-out text: the mean cross-entropy over all its tokens.

use super::pass::loss;
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
    /// Mean cross-entropy of each batch, in nats a token.
    losses: Vec<f32>,
    /// Its number of sequences.
    rows: Vec<f32>,
}

impl BatchLosses {
    /// Evaluates `batches`; no batch waits for the one before it.
    fn of<B: Backend>(
        model: &LlamaForCausalLm<B>,
        batches: impl Iterator<Item = TokenBatch<B>>,
        mut each: impl FnMut(Tensor<B, 1>),
    ) -> Self {
        let (mut losses, mut rows) = (Vec::new(), Vec::new());
        for batch in batches {
            rows.push(batch.inputs.dims()[0] as f32);
            let loss = loss(model, batch); // [1]
            losses.push(loss.clone());
            each(loss);
        }
        let losses = match losses.is_empty() {
            true => Vec::new(),
            false => Tensor::cat(losses, 0).into_data().iter::<f32>().collect(),
        };
        Self { losses, rows }
    }

    /// The mean, weighted by sequences and summed in f64; NaN without a batch.
    fn mean(&self) -> f64 {
        let rows = self.rows.iter().copied().map(f64::from);
        let losses = self.losses.iter().copied().map(f64::from);
        let sum: f64 = losses
            .zip(rows.clone())
            .map(|(loss, rows)| loss * rows)
            .sum();
        sum / rows.sum::<f64>()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let all = [self.losses.as_slice(), &self.rows].concat();
        bytemuck::cast_slice(&all).to_vec()
    }

    /// Adds the batches of another process after these.
    fn extend(&mut self, bytes: &[u8]) {
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
        let (losses, rows) = all.split_at(all.len() / 2);
        self.losses.extend(losses);
        self.rows.extend(rows);
    }
}

impl<B: AutodiffBackend> Training<B> {
    /// Evaluates the model on all batches of all processes, of which this one has `count`, in `batches`: the mean
    /// cross-entropy, weighted by sequences, in nats a token, or `None` if a process has stopped before its last batch.
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
    ) -> Result<Option<f64>, Lost> {
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
        Ok(whole.then(|| all.mean()))
    }
}

/// Evaluates a model on all of `batches`: the mean cross-entropy, weighted by sequences, in nats a token.
///
/// # Errors
///
/// [`DataError::Packed`] if a file of tokens has changed since it was opened.
pub fn mean_loss<B: Backend>(
    model: &LlamaForCausalLm<B>,
    batches: &ValidationBatches,
    device: &B::Device,
) -> Result<f64, DataError> {
    let fault = DataFault::default();
    let loader = batches.loader::<B>(device).reporting_to(&fault);
    let losses = BatchLosses::of(model, loader.iter(), |_| {});
    fault.take().map_or(Ok(losses.mean()), Err)
}
