//! A training under way, and its update.
//!
//! The optimizer updates weights and moments in place, which it can only while nobody else owns their tensors: a
//! training gives the model to the optimizer and takes it back, and whoever clones [`Training::model`] must drop the
//! clone before the next update.

use super::each::Places;
use super::everywhere::{losses_everywhere, sum_everywhere};
use super::observer::{Observer, Phase};
use super::owners::Owners;
use super::part::{exchange_parameters, squares_everywhere, sum_of_own};
use super::pass::Pass;
use super::sum::{divided, sum};
use crate::data::TokenBatch;
use crate::model::LlamaForCausalLm;
use crate::processes::{Alone, Lost, Moments, Processes};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use std::sync::Arc;
use switchlora_core::{ClipGradNorm, Deferred, MethodOptimizer, Precision, SwitchLoraConfig};

/// The optimizer of every method.
pub type Optim<B> = ClipGradNorm<MethodOptimizer<LlamaForCausalLm<B>, B>>;

/// A training under way. See [the module](super).
pub struct Training<B: AutodiffBackend> {
    /// `None` only while the optimizer has it.
    model: Option<LlamaForCausalLm<B>>,
    optimizer: Optim<B>,
    /// The learning rate of each update, counted from 0.
    learning_rate: Box<dyn Fn(u64) -> f64 + Send>,
    /// Micro-batches of an update, those of all processes together.
    accumulation: usize,
    processes: Arc<dyn Processes>,
    /// In what dtype gradients leave this process.
    dtype: Precision,
    /// Who keeps the moments.
    moments: Moments,
    /// Updates done, skipped ones included.
    step: u64,
    /// Tokens trained on, padding included, those of all processes together.
    tokens: u64,
    /// The method, while the training still is in full rank.
    pub(super) method: Option<SecondPhase<B>>,
}

/// The method that begins after updates in full rank.
#[derive(Clone)]
pub(super) struct SecondPhase<B: AutodiffBackend> {
    /// Updates in full rank.
    pub after: u64,
    pub layers: SwitchLoraConfig,
    pub optimizer: Optim<B>,
    /// Seed of the new factors.
    pub seed: u64,
}

/// An update that has been queued; the device may still compute it.
#[derive(Clone, Debug)]
pub struct Update<B: Backend> {
    /// Updates done, including this one.
    pub step: u64,
    /// Mean cross-entropy before the update, in nats a token, `[1]`.
    pub loss: Tensor<B, 1>,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Global norm of the gradients before clipping.
    pub grad_norm: Option<Deferred<f32>>,
    /// LoRA vectors switched, on both sides of all layers, if the update is not refused.
    pub switches: usize,
    /// Tokens of the update, padding included, those of all processes together.
    pub tokens: u64,
    /// The same of all updates so far.
    pub all_tokens: u64,
    /// Numbers of its first and last micro-batch, counted from 0 over the whole training.
    pub batches: (u64, u64),
    /// Whether it is the first update of the method after updates in full rank.
    pub method_began: bool,
}

/// An update cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// There are fewer batches than an update needs.
    #[error("the batches ended before update {0}")]
    OutOfBatches(u64),
    /// Another process is lost.
    #[error("update {step}: {lost}")]
    Lost {
        /// The number of the update, counted from 1.
        step: u64,
        /// What happened.
        lost: Lost,
    },
}

impl<B: AutodiffBackend> Training<B> {
    /// A training of a given model with a given optimizer.
    ///
    /// `learning_rate` gives the learning rate of each update, counted from 0. The gradients of `accumulation`
    /// micro-batches are averaged for one update.
    ///
    /// # Panics
    ///
    /// If the optimizer does not fit the model, with the message of [`MethodOptimizer::try_prepare`].
    pub fn from_parts(
        model: LlamaForCausalLm<B>,
        mut optimizer: Optim<B>,
        learning_rate: impl Fn(u64) -> f64 + Send + 'static,
        accumulation: usize,
    ) -> Self {
        // A backward pass projects gradients by factors that the optimizer must have.
        hold(&mut optimizer, &model);
        Self {
            model: Some(model),
            optimizer,
            learning_rate: Box::new(learning_rate),
            accumulation,
            processes: Arc::new(Alone),
            dtype: Precision::F32,
            moments: Moments::Whole,
            step: 0,
            tokens: 0,
            method: None,
        }
    }

    /// The same training by several processes. Each computes its equal share of an update's micro-batches: process `r` of
    /// `p` those from `r / p` to `(r + 1) / p` of them. Gradients leave them as `dtype`.
    ///
    /// # Panics
    ///
    /// If the micro-batches cannot be shared evenly.
    pub fn among(
        mut self,
        processes: Arc<dyn Processes>,
        dtype: Precision,
        moments: Moments,
    ) -> Self {
        let (batches, size) = (self.accumulation, processes.size());
        assert!(
            batches.is_multiple_of(size),
            "{batches} micro-batches among {size} processes"
        );
        self.processes = processes;
        (self.dtype, self.moments) = (dtype, moments);
        self
    }

    /// The processes of this training.
    pub fn processes(&self) -> &dyn Processes {
        &*self.processes
    }

    /// The same training after `step` updates of `tokens` tokens together.
    pub(super) fn at(mut self, step: u64, tokens: u64) -> Self {
        (self.step, self.tokens) = (step, tokens);
        self
    }

    /// Whether each process has the moments of a part of the parameters only.
    pub fn is_divided(&self) -> bool {
        self.moments == Moments::Divided && self.processes.size() > 1
    }

    /// Tokens trained on, padding included, those of all processes together.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Updates done, skipped ones included.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The model between two updates. Drop clones of it before the next update.
    pub fn model(&self) -> &LlamaForCausalLm<B> {
        self.model
            .as_ref()
            .unwrap_or_else(|| unreachable!("the optimizer gives the model back"))
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &Optim<B> {
        &self.optimizer
    }

    /// The optimizer, to exchange it for another one; one of plain weights must hold their factors.
    pub fn optimizer_mut(&mut self) -> &mut Optim<B> {
        &mut self.optimizer
    }

    /// Does one update with the next micro-batches of `batches`, which are this process's own.
    ///
    /// # Errors
    ///
    /// [`UpdateError`] if `batches` ends or another process is lost; the training is as it was before, but where it
    /// [is divided](Self::is_divided) and a process is lost, it is of no further use.
    pub fn update(
        &mut self,
        batches: &mut dyn Iterator<Item = TokenBatch<B>>,
        observer: &mut dyn Observer<B>,
    ) -> Result<Update<B::InnerBackend>, UpdateError> {
        let own = self.accumulation / self.processes.size();
        let batches: Vec<_> = batches.take(own).collect();
        if batches.len() < own {
            return Err(UpdateError::OutOfBatches(self.step + 1));
        }
        let sizes = batches.iter().map(|batch| batch.inputs.dims());
        let tokens: usize = sizes.map(|[rows, length]| rows * length).sum();
        let tokens = tokens as u64;
        let before = self.begin_method();
        let method_began = before.is_some();
        let owners = Owners::of(self.moments, self.model(), self.processes.size());
        let step = self.step + 1;
        let lost = |lost| UpdateError::Lost { step, lost };
        let computed = match self.gradients(batches, tokens, owners.as_ref(), observer) {
            Ok(computed) => computed,
            Err(other) => {
                if let Some(before) = before {
                    before.restore(self);
                }
                return Err(lost(other));
            }
        };
        drop(before);
        let Computed {
            loss,
            gradients,
            tokens,
            squares,
        } = computed;
        let gradients = observer.gradients(self.model(), gradients);
        let learning_rate = (self.learning_rate)(self.step);
        let (optimizer, processes) = (&mut self.optimizer, &*self.processes);
        let Some(model) = self.model.take() else {
            unreachable!("the optimizer gives the model back")
        };
        let (model, exchanged) = match (owners, squares) {
            (Some(owners), Some(squares)) => {
                let mut exchanged = Ok(());
                let exchange = |model| {
                    let (model, sent) = exchange_parameters::<B, _>(model, &owners, processes);
                    exchanged = sent;
                    model
                };
                let seen = loss.clone();
                let model =
                    optimizer.step_among(learning_rate, model, gradients, seen, squares, exchange);
                (model, exchanged)
            }
            _ => {
                let model = optimizer.step_with_loss(learning_rate, model, gradients, loss.clone());
                (model, Ok(()))
            }
        };
        self.model = Some(model);
        exchanged.map_err(lost)?;
        observer.phase(Phase::Optimizer);
        let count = self.accumulation as u64;
        let first = self.step * count;
        self.step += 1;
        self.tokens += tokens;
        Ok(Update {
            step: self.step,
            loss,
            learning_rate,
            grad_norm: self.optimizer.grad_norm(),
            switches: self.optimizer.inner().last_switch_count(),
            tokens,
            all_tokens: self.tokens,
            batches: (first, first + count - 1),
            method_began,
        })
    }

    /// What the micro-batches of all processes give, of which this one has `batches`, with `tokens`.
    fn gradients(
        &self,
        batches: Vec<TokenBatch<B>>,
        tokens: u64,
        owners: Option<&Owners>,
        observer: &mut dyn Observer<B>,
    ) -> Result<Computed<B::InnerBackend>, Lost> {
        let (model, processes, count) = (self.model(), self.processes(), batches.len());
        let mut batches = batches.into_iter();
        let mut losses = Vec::with_capacity(count);
        let projection = self.optimizer.inner();
        let factors = projection.factor_ids();
        let places = Places {
            module: model,
            factors: &factors,
        };
        let gradients = sum::<B, _>(&places, count, || {
            let Some(batch) = batches.next() else {
                unreachable!("as many are asked for as there are")
            };
            let pass = Pass::forward(model, batch);
            losses.push(pass.loss());
            observer.phase(Phase::Forward);
            let gradients = pass.backward(model, projection);
            observer.phase(Phase::Backward);
            gradients
        });
        // [micro-batches]
        let (losses, tokens) = losses_everywhere(Tensor::cat(losses, 0), tokens, processes)?;
        let mean = |sum| divided::<B, _>(sum, &places, self.accumulation);
        let (gradients, squares) = match owners {
            None => {
                let sum = sum_everywhere::<B, _>(gradients, &places, processes, self.dtype)?;
                observer.phase(Phase::Exchange);
                (mean(sum), None)
            }
            Some(owners) => {
                let part = sum_of_own::<B, _>(gradients, &places, owners, processes, self.dtype)?;
                let part = part.map(mean);
                let device = losses.device();
                let squares = squares_everywhere::<B, _>(&part, model, processes, &device)?;
                observer.phase(Phase::Exchange);
                (part.gradients, Some(squares))
            }
        };
        Ok(Computed {
            loss: losses.mean(),
            gradients,
            tokens,
            squares,
        })
    }

    /// Begins the method if the updates in full rank are done. Returns what was before, if it does.
    fn begin_method(&mut self) -> Option<Before<B>> {
        let step = self.step;
        let method = self.method.take_if(|method| method.after == step)?;
        let before = Before {
            model: self.model().clone(),
            optimizer: self.optimizer.clone(),
            method: method.clone(),
        };
        let model = self.model.take();
        self.model = model.map(|model| model.adapted(&method.layers, method.seed));
        let skipped = self.optimizer.skipped();
        self.optimizer = method.optimizer.with_skipped(skipped);
        if let Some(model) = &self.model {
            hold(&mut self.optimizer, model);
        }
        Some(before)
    }
}

/// What micro-batches give.
struct Computed<B: Backend> {
    /// Their mean loss, `[1]`.
    loss: Tensor<B, 1>,
    /// Their mean gradients; those of this process's own parameters if each process makes a part of the update.
    gradients: GradientsParams,
    /// Their tokens.
    tokens: u64,
    /// The sum of squares of each mean gradient, `[gradients]`, if this process does not have all of them.
    squares: Option<Tensor<B, 1>>,
}

/// Gives the optimizer of plain weights its factors.
fn hold<B: AutodiffBackend>(optimizer: &mut Optim<B>, model: &LlamaForCausalLm<B>) {
    if let Err(reason) = optimizer.inner_mut().try_hold(model) {
        panic!("{reason}");
    }
}

/// A training in full rank whose method begins with an update that may yet fail.
struct Before<B: AutodiffBackend> {
    model: LlamaForCausalLm<B>,
    optimizer: Optim<B>,
    method: SecondPhase<B>,
}

impl<B: AutodiffBackend> Before<B> {
    fn restore(self, training: &mut Training<B>) {
        training.model = Some(self.model);
        training.optimizer = self.optimizer;
        training.method = Some(self.method);
    }
}
