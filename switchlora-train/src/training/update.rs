//! A training under way, and its update.
//!
//! The optimizer updates weights and moments in place, which it can only while nobody else owns their tensors: a
//! training gives the model to the optimizer and takes it back, and whoever clones [`Training::model`] must drop the
//! clone before the next update.

use super::accumulate::mean;
use super::observer::{Observer, Phase};
use crate::data::TokenBatch;
use crate::model::LlamaForCausalLm;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use switchlora_core::{ClipGradNorm, Deferred, MethodOptimizer, SwitchLoraConfig};
use switchlora_ops::in_pool;

/// The optimizer of every method.
pub type Optim<B> = ClipGradNorm<MethodOptimizer<LlamaForCausalLm<B>, B>>;

/// A training under way. See [the module](super).
pub struct Training<B: AutodiffBackend> {
    /// `None` only while the optimizer has it.
    model: Option<LlamaForCausalLm<B>>,
    optimizer: Optim<B>,
    /// The learning rate of each update, counted from 0.
    learning_rate: Box<dyn Fn(u64) -> f64 + Send>,
    accumulation: usize,
    /// Updates done, skipped ones included.
    step: u64,
    /// The method, while the training still is in full rank.
    pub(super) method: Option<SecondPhase<B>>,
}

/// The method that begins after updates in full rank.
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
    /// Tokens of the update.
    pub tokens: u64,
    /// Numbers of its first and last micro-batch, counted from 0 over the whole training.
    pub batches: (u64, u64),
    /// Whether it is the first update of the method after updates in full rank.
    pub method_began: bool,
}

/// There are fewer batches than an update needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batches ended before update {0}")]
pub struct OutOfBatches(pub u64);

impl<B: AutodiffBackend> Training<B> {
    /// A training of a given model with a given optimizer.
    ///
    /// `learning_rate` gives the learning rate of each update, counted from 0. The gradients of `accumulation`
    /// micro-batches are averaged for one update.
    pub fn from_parts(
        model: LlamaForCausalLm<B>,
        optimizer: Optim<B>,
        learning_rate: impl Fn(u64) -> f64 + Send + 'static,
        accumulation: usize,
    ) -> Self {
        Self {
            model: Some(model),
            optimizer,
            learning_rate: Box::new(learning_rate),
            accumulation,
            step: 0,
            method: None,
        }
    }

    /// The same training after `step` updates.
    pub(super) fn at(mut self, step: u64) -> Self {
        self.step = step;
        self
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

    /// The optimizer, to exchange it for another one.
    pub fn optimizer_mut(&mut self) -> &mut Optim<B> {
        &mut self.optimizer
    }

    /// Does one update with the next micro-batches of `batches`.
    ///
    /// # Errors
    ///
    /// [`OutOfBatches`] if `batches` ends; the training is as it was before.
    pub fn update(
        &mut self,
        batches: &mut dyn Iterator<Item = TokenBatch<B>>,
        observer: &mut dyn Observer<B>,
    ) -> Result<Update<B::InnerBackend>, OutOfBatches> {
        let count = self.accumulation;
        let batches: Vec<_> = batches.take(count).collect();
        if batches.len() < count {
            return Err(OutOfBatches(self.step + 1));
        }
        let method_began = self.begin_method();
        let mut tokens = 0;
        let mut losses = Vec::with_capacity(count);
        let mut sum = GradientsAccumulator::new();
        for batch in batches {
            tokens += batch.inputs.dims().iter().product::<usize>() as u64;
            let loss = forward(self.model(), batch);
            losses.push(loss.clone().inner());
            observer.phase(Phase::Forward);
            sum.accumulate(self.model(), backward(self.model(), loss));
            observer.phase(Phase::Backward);
        }
        let gradients = mean::<B, _>(&mut sum, self.model(), count);
        let gradients = observer.gradients(self.model(), gradients);
        let loss = Tensor::cat(losses, 0).mean(); // [1]
        let learning_rate = (self.learning_rate)(self.step);
        let optimizer = &mut self.optimizer;
        let model = self.model.take();
        self.model = model
            .map(|model| optimizer.step_with_loss(learning_rate, model, gradients, loss.clone()));
        observer.phase(Phase::Optimizer);
        let first = self.step * count as u64;
        self.step += 1;
        Ok(Update {
            step: self.step,
            loss,
            learning_rate,
            grad_norm: self.optimizer.grad_norm(),
            switches: self.optimizer.inner().last_switch_count(),
            tokens,
            batches: (first, first + count as u64 - 1),
            method_began,
        })
    }

    /// Begins the method if the updates in full rank are done.
    fn begin_method(&mut self) -> bool {
        let step = self.step;
        let Some(method) = self.method.take_if(|method| method.after == step) else {
            return false;
        };
        let model = self.model.take();
        self.model = model.map(|model| model.adapted(&method.layers, method.seed));
        let skipped = self.optimizer.skipped();
        self.optimizer = method.optimizer.with_skipped(skipped);
        true
    }
}

/// The loss `[1]` of a batch.
pub(crate) fn forward<B: Backend>(
    model: &LlamaForCausalLm<B>,
    batch: TokenBatch<B>,
) -> Tensor<B, 1> {
    let model = model.clone();
    in_pool::<B, _>(move || model.loss(batch.inputs, batch.targets))
}

/// The gradients of a loss of `model`.
pub(crate) fn backward<B: AutodiffBackend>(
    model: &LlamaForCausalLm<B>,
    loss: Tensor<B, 1>,
) -> GradientsParams {
    let model = model.clone();
    in_pool::<B, _>(move || GradientsParams::from_grads(loss.backward(), &model))
}
