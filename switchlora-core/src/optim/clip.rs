//! One global gradient norm: `g <- g min(1, max_norm / (|g| + 1e-6))`, and no update at all where `|g|` or the loss is not
//! finite.

use super::guard::{Guard, GuardedOptimizer};
use crate::deferred::Deferred;
use burn::module::{AutodiffModule, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use std::marker::PhantomData;
use switchlora_ops::{in_pool, sum_of_squares};

/// Added to the norm before dividing by it, as PyTorch does.
const NORM_EPSILON: f64 = 1e-6;

/// Backends that compute when asked: reading a result of theirs waits for nothing.
const IMMEDIATE: [&str; 2] = ["flex", "ndarray"];

/// Puts the loss `[1]` beside the gradients it gave, so that a [`ClipGradNorm`] refuses the update also where only the loss
/// is not finite (a target that the model gives no probability at all has finite gradients). Other optimizers ignore it.
pub fn with_loss<B: Backend>(
    mut gradients: GradientsParams,
    loss: Tensor<B, 1>,
) -> GradientsParams {
    gradients.register(loss_id(), loss);
    gradients
}

/// The id under which the loss travels among the gradients; ids of parameters are random.
fn loss_id() -> ParamId {
    ParamId::from(u64::from_le_bytes(*b"the loss"))
}

/// Clips the norm over ALL gradients together, and refuses an update whose norm is not finite.
///
/// Given the loss as well ([`with_loss`]), it refuses an update whose loss is not finite.
///
/// A refused update leaves weights, moments, pools and counters exactly as they were and is counted in
/// [`skipped`](Self::skipped). On a device that computes later the decision is made there, without waiting; the count
/// follows one update later.
#[derive(Clone, Debug)]
pub struct ClipGradNorm<O> {
    inner: O,
    max_norm: f64,
    /// Decide on the device; none to let the backend say.
    defer: Option<bool>,
    skipped: u64,
    undecided: Option<Deferred<bool>>,
    norm: Option<Deferred<f32>>,
}

impl<O> ClipGradNorm<O> {
    /// Clips to `max_norm`; `f64::INFINITY` clips nothing and still refuses what is not finite.
    pub fn new(max_norm: f64, inner: O) -> Self {
        Self {
            inner,
            max_norm,
            defer: None,
            skipped: 0,
            undecided: None,
            norm: None,
        }
    }

    /// Decides on the device (`true`) or on the host (`false`) whatever the backend; the results are the same.
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

    /// Updates refused so far because their norm was not finite; waits for the last decision.
    pub fn skipped(&self) -> u64 {
        let last = self
            .undecided
            .as_ref()
            .is_some_and(|decision| !decision.get());
        self.skipped + u64::from(last)
    }

    /// As [`new`](Self::new), going on counting from `skipped`.
    pub fn with_skipped(mut self, skipped: u64) -> Self {
        (self.skipped, self.undecided) = (skipped, None);
        self
    }

    /// The decision about gradients with this sum of `squares` `[1]`, from a `loss` `[1]` if it is given.
    fn guard<B: Backend>(&mut self, squares: Tensor<B, 1>, loss: Option<Tensor<B, 1>>) -> Guard<B> {
        self.skipped = self.skipped();
        self.undecided = None;
        let norm = squares.sqrt(); // [1]
        let device = norm.device();
        let name = B::name(&device);
        let defer = self
            .defer
            .unwrap_or_else(|| !IMMEDIATE.iter().any(|backend| name.contains(backend)));
        let watched: Vec<_> = std::iter::once(norm.clone()).chain(loss).collect();
        let watched = Tensor::cat(watched, 0); // [1] or [2]
        if defer {
            return self.guard_later(norm, watched);
        }
        let watched: Vec<f32> = watched.into_data().iter::<f32>().collect();
        let (value, accepted) = judge(&watched);
        self.norm = Some(Deferred::ready(value));
        self.skipped += u64::from(!accepted);
        let scale = self.max_norm / (f64::from(value) + NORM_EPSILON);
        Guard::Known {
            accepted,
            scale: scale.min(1.0),
        }
    }

    fn guard_later<B: Backend>(&mut self, norm: Tensor<B, 1>, watched: Tensor<B, 1>) -> Guard<B> {
        // What is not finite times zero is not-a-number, not-a-number is not equal to itself, and infinity is not below the
        // largest number.
        let accept = ((watched.clone() * 0.0).sum() + norm.clone()).lower_equal_elem(f32::MAX);
        let judged = Deferred::read(move || {
            let watched: Vec<f32> = watched.into_data().iter::<f32>().collect();
            judge(&watched)
        });
        let accepted = judged.map(|(_, accepted)| accepted);
        let scale = match self.max_norm.is_finite() {
            true => (norm + NORM_EPSILON).recip() * self.max_norm,
            false => norm.ones_like(),
        };
        self.norm = Some(judged.map(|(norm, _)| norm));
        self.undecided = Some(accepted.clone());
        let scale = scale.clamp_max(1.0);
        let refused = scale.ones_like().neg();
        Guard::Later {
            verdict: refused.mask_where(accept.clone(), scale.clone()),
            accept,
            scale,
            accepted,
        }
    }
}

/// The norm, and whether it and the loss after it are finite.
fn judge(watched: &[f32]) -> (f32, bool) {
    let norm = watched.first().copied().unwrap_or(f32::NAN);
    (norm, watched.iter().all(|value| value.is_finite()))
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
        in_pool::<B, _>(|| self.step_here(learning_rate, module, gradients))
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

impl<O> ClipGradNorm<O> {
    fn step_here<M, B>(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        mut gradients: GradientsParams,
    ) -> M
    where
        M: AutodiffModule<B>,
        B: AutodiffBackend,
        O: GuardedOptimizer<M, B>,
    {
        let loss = gradients.remove::<B::InnerBackend, 1>(loss_id());
        let mut sum = SumOfSquares::<B> {
            gradients: &gradients,
            squares: Vec::new(),
        };
        module.visit(&mut sum);
        let guard = match sum.squares.len() {
            0 => Guard::open(),
            _ => self.guard(Tensor::cat(sum.squares, 0).sum(), loss),
        };
        if let Guard::Known {
            accepted: false, ..
        } = guard
        {
            return module;
        }
        self.inner
            .step_guarded(learning_rate, module, gradients, guard)
    }
}

/// Collects the sum of squares of each gradient, `[1]` each.
struct SumOfSquares<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    squares: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for SumOfSquares<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
            let rows = gradient.dims()[0].max(1);
            let columns = gradient.shape().num_elements() / rows;
            self.squares
                .push(sum_of_squares(gradient.reshape([rows, columns])));
        }
    }
}

/// The gradients of several devices, summed on one device for each parameter.
pub(super) fn join<M, B>(module: &M, gradients: MultiGradientsParams) -> GradientsParams
where
    M: AutodiffModule<B>,
    B: AutodiffBackend,
{
    let mut join = Join::<B> {
        several: gradients,
        joined: GradientsParams::new(),
        backend: PhantomData,
    };
    module.visit(&mut join);
    if let Some((loss, _)) = join.several.remove::<B::InnerBackend, 1>(loss_id()) {
        join.joined.register(loss_id(), loss);
    }
    join.joined
}

struct Join<B> {
    several: MultiGradientsParams,
    joined: GradientsParams,
    backend: PhantomData<B>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Join<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some((gradient, _)) = self.several.remove::<B::InnerBackend, D>(param.id) {
            self.joined.register(param.id, gradient);
        }
    }
}
