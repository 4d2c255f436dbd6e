//! The state that a training starts from: a new model, or a checkpoint.

use super::owners::Owners;
use super::setup::Setup;
use super::update::{Optim, SecondPhase, Training};
use crate::checkpoint::{self, Checkpoint};
use crate::experiment::LearningRateSchedule;
use crate::model::{LlamaForCausalLm, drawn_score, import, parameter_names};
use crate::model_source::{ModelSource, load_model, load_model_as};
use crate::processes::Processes;
use anyhow::{Context, Result, anyhow};
use burn::optim::Optimizer;
use burn::tensor::backend::{AutodiffBackend, Backend};
use switchlora_core::{Precision, SwitchLoraConfig};

impl Setup {
    /// The model that a new training starts from.
    ///
    /// # Errors
    ///
    /// The weights of the start cannot be read or do not fit the model.
    pub fn new_model<B: Backend>(&self, device: &B::Device) -> Result<LlamaForCausalLm<B>> {
        let (layers, seed) = (self.layers(0), self.experiment.seed);
        if let (Some(_), Some(source)) = (&self.task, &self.start) {
            return self.tuned(source, device);
        }
        let model = match &self.start {
            None => {
                let (model, init) = (&self.model, self.experiment.init);
                return Ok(LlamaForCausalLm::drawn(model, &layers, init, seed, device));
            }
            Some(ModelSource::Pretrained(pretrained)) => {
                pretrained.load::<B>(&self.method.layers, device)?
            }
            Some(ModelSource::Checkpoint(checkpoint)) => {
                let trained = SwitchLoraConfig {
                    precision: self.method.layers.precision,
                    frozen: Precision::F32,
                    ..checkpoint.state.method.clone()
                };
                load_model_as(checkpoint, &self.model, &trained, device)
                    .with_context(|| format!("cannot start from {}", checkpoint.path().display()))?
            }
        };
        Ok(model.adapted(&layers, seed))
    }

    /// The model of a fine-tuning: that of `source`, with a new head unless it has one for the same labels.
    fn tuned<B: Backend>(
        &self,
        source: &ModelSource,
        device: &B::Device,
    ) -> Result<LlamaForCausalLm<B>> {
        let (layers, seed) = (self.layers(0), self.experiment.seed);
        let place = || format!("cannot start from {}", source.path().display());
        let mut tensors = source.merged().with_context(place)?;
        if let Some(classifier) = &self.model.classifier {
            let theirs = source.config().classifier.as_ref();
            if theirs.is_none_or(|theirs| theirs.labels != classifier.labels) {
                let score = drawn_score(&self.model, classifier, seed);
                tensors.insert("score.weight".to_owned(), score);
            }
            tensors.remove("lm_head.weight");
        }
        let model = LlamaForCausalLm::blank(&self.model, &layers, device);
        let model = import::<B, _>(model, tensors).with_context(place)?;
        Ok(model.adapted(&layers, seed))
    }

    /// The optimizer of the state after `step` updates, empty.
    fn optimizer<B: AutodiffBackend>(&self, step: u64) -> Optim<B> {
        self.experiment.optimizer(&self.phase(step))
    }
}

impl<B: AutodiffBackend> Training<B> {
    /// A new training.
    ///
    /// # Errors
    ///
    /// The weights to start from cannot be read or do not fit the model.
    pub fn new(setup: &Setup, device: &B::Device) -> Result<Self> {
        let (model, optimizer) = (setup.new_model(device)?, setup.optimizer(0));
        Self::assemble(setup, (0, 0), model, optimizer)
    }

    /// The training that `checkpoint` was written by, bit for bit; where moments are divided, this process's part of it.
    ///
    /// # Errors
    ///
    /// The checkpoint cannot be read or does not fit the model.
    pub fn restore(
        setup: &Setup,
        checkpoint: &Checkpoint,
        processes: &dyn Processes,
        device: &B::Device,
    ) -> Result<Self> {
        let state = &checkpoint.state;
        let place = || checkpoint.path().display().to_string();
        let model = load_model::<B>(checkpoint, device)?;
        let names = parameter_names::<B, _>(&model);
        let owners = Owners::of(setup.experiment.moments, &model, processes.size());
        let is_own = |name: &str| match &owners {
            None => true,
            Some(owners) => owners.has(processes.rank(), name, &names),
        };
        let of_own = |tensor: &str| checkpoint::parameter_of(tensor).is_none_or(is_own);
        let tensors = checkpoint.optimizer(of_own).with_context(place)?;
        let mut host = state.optimizer.clone();
        host.counts.retain(|name, _| is_own(name));
        if owners.is_some() && processes.rank() > 0 {
            // The first process has those of all.
            host.failed_projections = 0;
        }
        let record = checkpoint::join(tensors, host, &names)
            .map_err(|reason| anyhow!("{}: {reason}", place()))?;
        // The state of layers whose rank is too large goes on, as before; layers that are still to be made are refused now.
        let full_rank = setup.experiment.full_rank_updates();
        if full_rank > 0 && state.step <= full_rank {
            setup.method.validate_for(&setup.model.shape())?;
        }
        let optimizer = setup.optimizer::<B>(state.step);
        let record = (record, state.skipped);
        let optimizer = Optimizer::<LlamaForCausalLm<B>, B>::load_record(optimizer, record);
        Self::assemble(setup, (state.step, state.tokens), model, optimizer).with_context(place)
    }

    fn assemble(
        setup: &Setup,
        (step, tokens): (u64, u64),
        model: LlamaForCausalLm<B>,
        mut optimizer: Optim<B>,
    ) -> Result<Self> {
        optimizer.inner_mut().try_hold(&model)?;
        let experiment = &setup.experiment;
        let schedule = LearningRateSchedule::of(experiment);
        let rate = move |update| schedule.rate(update);
        let mut training = Self::from_parts(
            model.recomputing(experiment.recompute),
            optimizer,
            rate,
            experiment.accumulation,
        )
        .at(step, tokens);
        let after = experiment.full_rank_updates();
        if after > 0 && step <= after {
            training.method = Some(SecondPhase {
                after,
                layers: setup.layers(after + 1),
                optimizer: setup.optimizer(after + 1),
                seed: experiment.seed,
            });
        }
        Ok(training)
    }
}
