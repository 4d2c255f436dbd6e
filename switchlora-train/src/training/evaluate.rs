//! The loss on held-out text: the mean cross-entropy over all its tokens.

use super::report::scalar;
use super::update::{Training, forward};
use crate::data::{DataError, DataFault, TokenBatch, ValidationBatches};
use crate::model::LlamaForCausalLm;
use burn::data::dataloader::DataLoader;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// Where the losses of the batches are summed. The two sums differ in their last bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summation {
    /// On the device, in f32: no batch waits for the one before it. The learner's sum.
    Device,
    /// On the host, in f64. The sum of `eval` and of the comparison of methods.
    Host,
}

/// Evaluates a model on `batches`: the mean cross-entropy, weighted by sequences, in nats a token; NaN without a batch.
///
/// `each` is called with the loss `[1]` of each batch. Whoever wants to stop early ends the iterator and ignores the
/// result.
pub fn evaluate<B: Backend>(
    model: &LlamaForCausalLm<B>,
    batches: impl Iterator<Item = TokenBatch<B>>,
    summation: Summation,
    mut each: impl FnMut(Tensor<B, 1>),
) -> f64 {
    let (mut on_device, mut on_host, mut rows) = (None::<Tensor<B, 1>>, 0.0, 0.0);
    for batch in batches {
        let count = batch.inputs.dims()[0] as f64;
        let loss = forward(model, batch); // [1]
        match summation {
            Summation::Device => {
                let weighted = loss.clone() * count;
                on_device = Some(match on_device {
                    Some(sum) => sum + weighted,
                    None => weighted,
                });
            }
            Summation::Host => on_host += scalar(loss.clone()) * count,
        }
        rows += count;
        each(loss);
    }
    on_device.map_or(on_host, scalar) / rows
}

impl<B: AutodiffBackend> Training<B> {
    /// Evaluates the model, see [`evaluate`].
    pub fn evaluate(
        &self,
        batches: impl Iterator<Item = TokenBatch<B::InnerBackend>>,
        summation: Summation,
        each: impl FnMut(Tensor<B::InnerBackend, 1>),
    ) -> f64 {
        evaluate(&self.model().valid(), batches, summation, each)
    }
}

/// Evaluates a model on all of `batches`, summing on the host.
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
    let loss = evaluate(model, loader.iter(), Summation::Host, |_| {});
    fault.take().map_or(Ok(loss), Err)
}
