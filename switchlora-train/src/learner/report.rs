//! What an update reports, on its way from the device to dashboard and journal.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::train::ItemLazy;
use burn::train::metric::Adaptor;
use serde::Serialize;
use switchlora_core::Deferred;

/// One update (or, in validation, one batch) in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Updates done, this one included.
    pub step: u64,
    /// Mean cross-entropy before the update, in nats a token.
    pub loss: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Tokens a second over the time since the update before.
    pub tokens_per_second: f64,
    /// LoRA vectors exchanged in this update, both sides of all layers together.
    pub switches: usize,
    /// Updates skipped so far because their loss or gradient norm was not finite.
    pub skipped: u64,
    /// Numbers of the first and the last micro-batch of the update, counted from 0 over the whole training.
    #[serde(skip)]
    pub batches: (u64, u64),
}

impl Report {
    /// Whether the update could happen.
    pub fn is_sound(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }

    /// What was wrong with an update that could not happen.
    pub fn fault(&self) -> String {
        let batches = match self.batches {
            (first, last) if first == last => format!("micro-batch {first}"),
            (first, last) => format!("micro-batches {first} to {last}"),
        };
        let (step, loss, norm) = (self.step, self.loss, self.grad_norm);
        format!("update {step} ({batches}): loss {loss}, gradient norm {norm}")
    }
}

/// The output of a training step: a loss on the device, and the report of the update once there is one.
#[derive(Debug)]
pub struct StepOutput<B: Backend> {
    /// Mean cross-entropy of the batch, `[1]`.
    pub loss: Tensor<B, 1>,
    /// Filled in by the strategy at the end of an update.
    pub report: Option<Deferred<Report>>,
}

impl<B: Backend> StepOutput<B> {
    /// A loss without an update yet.
    pub fn new(loss: Tensor<B, 1>) -> Self {
        Self { loss, report: None }
    }
}

impl<B: Backend> ItemLazy for StepOutput<B> {
    type ItemSync = Report;

    fn sync(self) -> Report {
        match self.report {
            Some(report) => report.get(),
            None => Report {
                loss: scalar(self.loss),
                ..Report::default()
            },
        }
    }
}

impl Adaptor<Report> for Report {
    fn adapt(&self) -> Report {
        self.clone()
    }
}

/// The one number of a tensor, waiting for it.
pub fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    let data = tensor.into_data();
    data.iter::<f64>().next().unwrap_or(f64::NAN)
}
