//! The events of burn-train, from which the dashboard and the plain lines are made.

use super::step::StepOutput;
use crate::experiment::Experiment;
use crate::model::LlamaForCausalLm;
use crate::training::{Optim, Report, Update};
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
    /// Events of a run whose last evaluation was after `judged` updates.
    pub fn new(
        processor: SupervisedTrainingEventProcessor<Components<B>>,
        experiment: &Experiment,
        judged: u64,
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
            stretch: (judged / every.max(1)) as usize + 1,
        }
    }

    /// An update.
    pub fn update(&mut self, update: Update<B::InnerBackend>, report: Deferred<Report>) {
        let (loss, report) = (update.loss, Some(report));
        let (number, rate) = (update.step as usize, update.learning_rate);
        let item = self.item(StepOutput { loss, report }, number, self.steps, Some(rate));
        self.processor.process_train(item);
    }

    /// The end of the updates before an evaluation.
    pub fn evaluating(&mut self) {
        let event = LearnerEvent::EndEpoch(self.stretch);
        self.processor.process_train(event);
    }

    /// The loss of batch `number` of the `total` of an evaluation, counted from 1.
    pub fn batch(&mut self, number: usize, total: usize, loss: Tensor<B::InnerBackend, 1>) {
        let item = self.item(StepOutput { loss, report: None }, number, total, None);
        self.processor.process_valid(item);
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
        number: usize,
        total: usize,
        learning_rate: Option<f64>,
    ) -> LearnerEvent<StepOutput<B::InnerBackend>> {
        let stretches = Items::new(self.stretch.min(self.stretches), self.stretches);
        let progress = Items::new(number, total);
        let item = TrainingItem::new(output, progress, stretches, Some(number), learning_rate);
        LearnerEvent::ProcessedItem(item)
    }
}
