//! The loss on held-out text, outside of a training.

use super::report::scalar;
use crate::data::{DataError, TokenBatch, ValidationBatches};
use crate::model::LlamaForCausalLm;
use burn::tensor::backend::Backend;

/// Mean cross-entropy of a model over all batches, in nats a token.
///
/// # Errors
///
/// [`DataError::Packed`] if a file of tokens is not what it was any more.
pub fn mean_loss<B: Backend>(
    model: &LlamaForCausalLm<B>,
    batches: &ValidationBatches,
    device: &B::Device,
) -> Result<f64, DataError> {
    let length = batches.windows().sequence_length();
    let (mut sum, mut rows) = (0.0, 0.0);
    for number in 0..batches.count() {
        let (inputs, targets) = batches.batch(number)?;
        let batch = TokenBatch::new(inputs, targets, length, device);
        let count = batch.inputs.dims()[0] as f64;
        sum += scalar(model.loss(batch.inputs, batch.targets)) * count;
        rows += count;
    }
    Ok(sum / rows)
}
