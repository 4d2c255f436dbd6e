//! Clipping by one global gradient norm: `g <- g min(1, max_norm / (|g| + 1e-6))`; no update where `|g|` or the loss is not
//! finite.

use super::deferred::Deferred;
use super::guard::{Guard, GuardedOptimizer};
use super::join::join;
use super::squares::Matrices;
use super::verdict::{decide_later, decide_now};
use crate::config_error::{in_range, insist};
use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use switchlora_ops::{computes_at_once, in_pool, sum_of_all_squares};

/// Clips the norm over ALL gradients together, and refuses an update whose norm is not finite.
///
/// [`step_with_loss`](Self::step_with_loss) also refuses an update whose loss is not finite.
///
/// A refused update leaves weights, moments, pools and counters exactly as they were and is counted in
/// [`skipped`](Self::skipped). On a device that computes later the decision is made there, without waiting; the count
/// follows one update later.
#[derive(Clone, Debug)]
pub struct ClipGradNorm<O> {
    inner: O,
    max_norm: f64,
    /// Decide on the device; `None` lets the backend decide.
    defer: Option<bool>,
    skipped: u64,
    undecided: Option<Deferred<bool>>,
    norm: Option<Deferred<f32>>,
}

impl<O> ClipGradNorm<O> {
    /// Clips to `max_norm`; `f64::INFINITY` clips nothing and still refuses what is not finite.
    ///
    /// # Panics
    ///
    /// If `max_norm` is not above 0.
    pub fn new(max_norm: f64, inner: O) -> Self {
        let held = in_range("max_norm", max_norm, max_norm > 0.0, "more than 0");
        insist("a ClipGradNorm", held);
        Self {
            inner,
            max_norm,
            defer: None,
            skipped: 0,
            undecided: None,
            norm: None,
        }
    }

    /// Decides on the device (`true`) or on the host (`false`), whatever the backend; the results are the same.
    pub fn with_decision_on_device(mut self, on_device: bool) -> Self {
        self.defer = Some(on_device);
        self
    }

    /// The optimizer inside.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// The optimizer inside, to be changed.
    pub fn inner_mut(&mut self) -> &mut O {
        &mut self.inner
    }

    /// Norm of the last update's gradients before clipping.
    pub fn grad_norm(&self) -> Option<Deferred<f32>> {
        self.norm.clone()
    }

    /// Updates refused so far because their norm or loss was not finite; waits for the last decision.
    pub fn skipped(&self) -> u64 {
        let last = self.undecided.as_ref();
        self.skipped + u64::from(last.is_some_and(|decision| !decision.get()))
    }

    /// As [`new`](Self::new), going on counting from `skipped`.
    pub fn with_skipped(mut self, skipped: u64) -> Self {
        (self.skipped, self.undecided) = (skipped, None);
        self
    }

    /// One update of `module`, refused also if `loss: [1]` is not finite: a target to which the model gives no probability
    /// at all has finite gradients.
    pub fn step_with_loss<M, B>(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        loss: Tensor<B::InnerBackend, 1>,
    ) -> M
    where
        M: AutodiffModule<B>,
        B: AutodiffBackend,
        O: GuardedOptimizer<M, B>,
    {
        in_pool::<B, _>(|| self.step_here(learning_rate, module, gradients, Some(loss)))
    }

    /// As [`step_with_loss`](Self::step_with_loss), where `gradients` are only some of those that are clipped together: other
    /// processes have the others, and update those parameters.
    ///
    /// `squares: [gradients]` has the [sum of squares](crate::gradient_squares) of every one of them, in the order of
    /// the module's walk. `exchange` sends the parameters that have been updated here to the other processes, and returns the
    /// module with those that they have updated. It is called once in each update, also in a refused one.
    ///
    /// What follows from the moments of a factor needs them in every process: candidates by the
    /// [gradient](crate::Candidates::Gradient) and vectors that leave by their [gain](crate::Selection::Gain) do not work
    /// here, nor do [weights](crate::MethodOptimizer::on_weights) whose factors the optimizer holds.
    pub fn step_among<M, B>(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        loss: Tensor<B::InnerBackend, 1>,
        squares: Tensor<B::InnerBackend, 1>,
        exchange: impl FnOnce(M) -> M + Send,
    ) -> M
    where
        M: AutodiffModule<B>,
        B: AutodiffBackend,
        O: GuardedOptimizer<M, B>,
    {
        in_pool::<B, _>(|| {
            let guard = self.decide(squares.sum(), Some(loss));
            let mut exchange = Some(exchange);
            let mut once = |module| match exchange.take() {
                Some(exchange) => exchange(module),
                None => module,
            };
            let module = match guard.is_refused() {
                true => module,
                false => self.inner.step_guarded_among(
                    learning_rate,
                    module,
                    gradients,
                    guard,
                    &mut once,
                ),
            };
            once(module)
        })
    }

    fn step_here<M, B>(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        loss: Option<Tensor<B::InnerBackend, 1>>,
    ) -> M
    where
        M: AutodiffModule<B>,
        B: AutodiffBackend,
        O: GuardedOptimizer<M, B>,
    {
        let (gradients, own) = self.inner.own_gradients(&module, gradients);
        let mut all = Matrices::<B>::of(&gradients);
        module.visit(&mut all);
        own.into_iter().for_each(|id| all.add::<2>(id));
        let squares = match (all.found.is_empty(), &loss) {
            (false, _) => Some(sum_of_all_squares(all.found)),
            // Without a gradient the loss decides alone.
            (true, Some(loss)) => Some(loss.zeros_like()),
            (true, None) => None,
        };
        let guard = match squares {
            Some(squares) => self.decide(squares, loss),
            None => Guard::open(),
        };
        if guard.is_refused() {
            return module;
        }
        self.inner
            .step_guarded(learning_rate, module, gradients, guard)
    }

    /// The decision about gradients with this sum of `squares: [1]`, and about the `loss: [1]` if it is given.
    fn decide<B: Backend>(
        &mut self,
        squares: Tensor<B, 1>,
        loss: Option<Tensor<B, 1>>,
    ) -> Guard<B> {
        self.skipped = self.skipped();
        self.undecided = None;
        let norm = squares.sqrt(); // [1]
        let at_once = computes_at_once::<B>(&norm.device());
        let (guard, norm) = match self.defer.unwrap_or(!at_once) {
            true => decide_later(norm, loss, self.max_norm),
            false => decide_now(norm, loss, self.max_norm),
        };
        self.norm = Some(norm);
        match &guard {
            Guard::Known { accepted, .. } => self.skipped += u64::from(!accepted),
            Guard::Later { accepted, .. } => self.undecided = Some(accepted.clone()),
        }
        guard
    }
}

impl<M, B, O> Optimizer<M, B> for ClipGradNorm<O>
where
    M: AutodiffModule<B>,
    B: AutodiffBackend,
    O: GuardedOptimizer<M, B>,
{
    /// The record of the optimizer inside and the number of refused updates.
    type Record = (O::Record, u64);

    fn step(&mut self, learning_rate: LearningRate, module: M, gradients: GradientsParams) -> M {
        in_pool::<B, _>(|| self.step_here(learning_rate, module, gradients, None))
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        let gradients = join(&module, gradients);
        self.step(lr, module, gradients)
    }

    fn to_record(&self) -> Self::Record {
        (self.inner.to_record(), self.skipped())
    }

    fn load_record(mut self, (inner, skipped): Self::Record) -> Self {
        self.inner = self.inner.load_record(inner);
        self.with_skipped(skipped)
    }
}
