//! The training strategy that burn-train runs: updates instead of epochs.
//!
//! burn-train's own strategies count epochs, step the learning rate with every micro-batch, sum accumulated gradients
//! and stop without saving. This one runs a [`Training`], which owns the model: the learner keeps its model while the
//! optimizer makes the new one, so that every changed parameter exists twice and nothing is updated in place. It is
//! dropped first.

use super::events::{Components, Events};
use super::progress::Outcome;
use super::run::{Plan, Run};
use crate::model::LlamaForCausalLm;
use crate::training::Training;
use burn::tensor::backend::AutodiffBackend;
use burn::train::{
    Learner, SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader,
    TrainingComponents, ValidLoader,
};
use std::sync::{Arc, Mutex, PoisonError};

/// Trains by updates.
pub(super) struct ByUpdates<B: AutodiffBackend> {
    pub plan: Plan,
    /// The training; taken when it starts.
    pub training: Mutex<Option<Training<B>>>,
    /// How the run ended, once it has.
    pub outcome: Arc<Mutex<Option<Outcome>>>,
}

impl<B: AutodiffBackend> SupervisedLearningStrategy<Components<B>> for ByUpdates<B> {
    fn fit(
        &self,
        components: TrainingComponents<Components<B>>,
        learner: Learner<Components<B>>,
        train: TrainLoader<Components<B>>,
        valid: ValidLoader<Components<B>>,
        _starting_epoch: usize,
    ) -> (
        LlamaForCausalLm<B>,
        SupervisedTrainingEventProcessor<Components<B>>,
    ) {
        let experiment = &self.plan.setup.experiment;
        let judged = self.plan.start.evaluation.map_or(0, |last| last.step);
        let events = Events::new(components.event_processor, experiment, judged);
        let mut training = self.training.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(training) = training.take() else {
            return (learner.model(), events.processor);
        };
        drop(learner);
        let mut run = Run::new(&self.plan, training, events, components.interrupter, valid);
        let ended = run.train(train);
        let Run {
            training,
            events,
            progress,
            ..
        } = run;
        let outcome = match ended {
            Err(error) => Outcome::Failed(error, progress),
            Ok(()) if progress.is_complete(experiment.steps) => Outcome::Finished(progress),
            Ok(()) => Outcome::Interrupted(progress),
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        (training.model().clone(), events.processor)
    }
}
