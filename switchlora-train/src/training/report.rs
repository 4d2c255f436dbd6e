//! The numbers of an update, read from the device without making the training wait.

use super::update::Update;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use switchlora_core::Deferred;

/// The numbers of one update (in validation: the loss of one batch).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Updates done, including this one.
    pub step: u64,
    /// Mean cross-entropy before the update, in nats a token.
    pub loss: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Throughput since the update before, in tokens a second.
    pub tokens_per_second: f64,
    /// LoRA vectors switched in this update, on both sides of all layers.
    pub switches: usize,
    /// Updates skipped so far because their loss or gradient norm was not finite.
    pub skipped: u64,
    /// Numbers of the first and the last micro-batch of the update, counted from 0 over the whole training.
    #[serde(skip)]
    pub batches: (u64, u64),
}

impl Report {
    /// Whether loss and gradient norm are finite, so that the update was done.
    pub fn is_sound(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }

    /// Names a skipped update, its micro-batches, its loss and its gradient norm.
    pub fn fault(&self) -> String {
        let batches = match self.batches {
            (first, last) if first == last => format!("micro-batch {first}"),
            (first, last) => format!("micro-batches {first} to {last}"),
        };
        let (step, loss, norm) = (self.step, self.loss, self.grad_norm);
        format!("update {step} ({batches}): loss {loss}, gradient norm {norm}")
    }
}

impl<B: Backend> Update<B> {
    /// The report of an update that took `seconds`; the reader thread reads its numbers from the device.
    ///
    /// `skipped` counts the skipped updates up to this one: ask for the report of every update, in their order.
    pub fn report(&self, seconds: f64, skipped: Arc<AtomicU64>) -> Deferred<Report> {
        let (loss, norm) = (self.loss.clone(), self.grad_norm.clone());
        let mut report = Report {
            step: self.step,
            lr: self.learning_rate,
            tokens: self.all_tokens,
            tokens_per_second: self.tokens as f64 / seconds,
            switches: self.switches,
            batches: self.batches,
            ..Report::default()
        };
        Deferred::read(move || {
            report.loss = scalar(loss);
            report.grad_norm = norm.map_or(f64::NAN, |norm| f64::from(norm.get()));
            let now = u64::from(!report.is_sound());
            report.skipped = skipped.fetch_add(now, Ordering::Relaxed) + now;
            if now > 0 {
                report.switches = 0;
            }
            report
        })
    }
}

/// Waits for a tensor `[1]` and returns its number.
pub fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    let data = tensor.into_data();
    data.iter::<f64>().next().unwrap_or(f64::NAN)
}
