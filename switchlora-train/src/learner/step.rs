//! A LLaMA as burn-train's learner sees it.

use super::report::StepOutput;
use crate::data::TokenBatch;
use crate::model::LlamaForCausalLm;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use switchlora_ops::in_pool;

impl<B: AutodiffBackend> TrainStep for LlamaForCausalLm<B> {
    type Input = TokenBatch<B>;
    type Output = StepOutput<B::InnerBackend>;

    fn step(&self, batch: TokenBatch<B>) -> TrainOutput<StepOutput<B::InnerBackend>> {
        let model = self.clone();
        in_pool::<B, _>(move || {
            let loss = model.loss(batch.inputs, batch.targets);
            let output = StepOutput::new(loss.clone().inner());
            TrainOutput::new(&model, loss.backward(), output)
        })
    }
}

impl<B: Backend> InferenceStep for LlamaForCausalLm<B> {
    type Input = TokenBatch<B>;
    type Output = StepOutput<B>;

    fn step(&self, batch: TokenBatch<B>) -> StepOutput<B> {
        let model = self.clone();
        in_pool::<B, _>(move || StepOutput::new(model.loss(batch.inputs, batch.targets)))
    }
}
