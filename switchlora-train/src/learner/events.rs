//! The events of burn-train, from which the dashboard and the plain lines are made.

use super::step::StepOutput;
use crate::experiment::Experiment;
use crate::model::LlamaForCausalLm;
use crate::training::{Optim, Report};
use burn::data::dataloader::Progress as Items;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn::train::{
    EventProcessorTraining, LearnerEvent, LearningComponentsMarker,
    SupervisedTrainingEventProcessor, TrainingItem,
};
use switchlora_core::Deferred;

/// The components of burn-train's learner. The learning rate `f64` is not used: the training has its schedule.
pub type Components<B> = LearningComponentsMarker<B, f64, LlamaForCausalLm<B>, Optim<B>>;

/// Announces updates and evaluations. burn-train's epochs are the stretches between two evaluations.
pub(super) struct Events<B: AutodiffBackend> {
    pub processor: SupervisedTrainingEventProcessor<Components<B>>,
    steps: usize,
    stretches: usize,
    /// The stretch the run is in, counted from 1.
    stretch: usize,
}

impl<B: AutodiffBackend> Events<B> {
    pub fn new(
        processor: SupervisedTrainingEventProcessor<Components<B>>,
        experiment: &Experiment,
    ) -> Self {
        let steps = experiment.steps;
        let every = match experiment.eval_every {
            0 => steps,
            every => every,
        };
        Self {
            processor,
            steps: steps as usize,
            stretches: steps.div_ceil(every.max(1)) as usize,
            stretch: 1,
        }
    }

    /// An update.
    pub fn update(
        &mut self,
        step: u64,
        loss: Tensor<B::InnerBackend, 1>,
        report: Deferred<Report>,
        learning_rate: f64,
    ) {
        let report = Some(report);
        let progress = Items::new(step as usize, self.steps);
        let item = self.item(
            StepOutput { loss, report },
            progress,
            step as usize,
            Some(learning_rate),
        );
        let event = LearnerEvent::ProcessedItem(item);
        self.processor.process_train(event);
    }

    /// The end of the updates before an evaluation.
    pub fn evaluating(&mut self) {
        let event = LearnerEvent::EndEpoch(self.stretch);
        self.processor.process_train(event);
    }

    /// Batch `number` of the `total` of an evaluation, counted from 1.
    pub fn evaluated_batch(
        &mut self,
        number: usize,
        total: usize,
        loss: Tensor<B::InnerBackend, 1>,
    ) {
        let output = StepOutput { loss, report: None };
        let item = self.item(output, Items::new(number, total), number, None);
        let event = LearnerEvent::ProcessedItem(item);
        self.processor.process_valid(event);
    }

    /// The end of an evaluation.
    pub fn evaluated(&mut self) {
        let event = LearnerEvent::EndEpoch(self.stretch);
        self.processor.process_valid(event);
        self.stretch += 1;
    }

    fn item(
        &self,
        output: StepOutput<B::InnerBackend>,
        progress: Items,
        number: usize,
        learning_rate: Option<f64>,
    ) -> TrainingItem<StepOutput<B::InnerBackend>> {
        let stretches = Items::new(self.stretch.min(self.stretches), self.stretches);
        TrainingItem::new(output, progress, stretches, Some(number), learning_rate)
    }
}
