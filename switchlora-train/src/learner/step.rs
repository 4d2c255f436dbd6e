//! The model and its losses in the form that burn-train's learner asks for.

use crate::data::TokenBatch;
use crate::model::LlamaForCausalLm;
use crate::training::{Pass, Report, loss, scalar};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::train::metric::Adaptor;
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use switchlora_core::Deferred;

/// The output of a step: a loss on the device, and at the end of an update its report.
#[derive(Debug)]
pub struct StepOutput<B: Backend> {
    /// Mean cross-entropy of the batch, `[1]`.
    pub loss: Tensor<B, 1>,
    /// The report of the update; `None` for a batch.
    pub report: Option<Deferred<Report>>,
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

impl<B: AutodiffBackend> TrainStep for LlamaForCausalLm<B> {
    type Input = TokenBatch<B>;
    type Output = StepOutput<B::InnerBackend>;

    fn step(&self, batch: TokenBatch<B>) -> TrainOutput<StepOutput<B::InnerBackend>> {
        let pass = Pass::forward(self, batch);
        let item = StepOutput {
            loss: pass.loss(),
            report: None,
        };
        let grads = pass.backward(self, &());
        TrainOutput { grads, item }
    }
}

impl<B: Backend> InferenceStep for LlamaForCausalLm<B> {
    type Input = TokenBatch<B>;
    type Output = StepOutput<B>;

    fn step(&self, batch: TokenBatch<B>) -> StepOutput<B> {
        let loss = loss(self, batch);
        StepOutput { loss, report: None }
    }
}
