//! Whether an update may happen, and by what its gradients are scaled.
//!
//! On a backend that computes when asked (a CPU) the host knows at once, and a refused update never begins. On a device
//! that computes later, the update is queued with the decision as a tensor: every result is chosen on the device between
//! new and old, and the host, which went on as if the update had happened, hears of it one update later.

use crate::deferred::Deferred;
use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, LearningRate, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Tensor};

/// An optimizer whose update can be scaled and refused by what only the device may know yet.
pub trait GuardedOptimizer<M: AutodiffModule<B>, B: AutodiffBackend>: Optimizer<M, B> {
    /// One update of `module`, which leaves everything exactly as it was if `guard` refuses.
    fn step_guarded(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
    ) -> M;
}

/// The decision about one update.
#[derive(Clone, Debug)]
pub enum Guard<B: Backend> {
    /// Known to the host.
    Known {
        /// Whether the update happens.
        accepted: bool,
        /// Factor of every gradient.
        scale: f64,
    },
    /// Known to the device, and to the host a little later.
    Later {
        /// `[1]`, true if the update happens.
        accept: Tensor<B, 1, Bool>,
        /// `[1]`, factor of every gradient.
        scale: Tensor<B, 1>,
        /// `[1]`, both in one: the factor, negative if the update does not happen.
        verdict: Tensor<B, 1>,
        /// The same decision, on its way to the host.
        accepted: Deferred<bool>,
    },
}

impl<B: Backend> Guard<B> {
    /// An update that happens with its gradients as they are.
    pub fn open() -> Self {
        Self::Known {
            accepted: true,
            scale: 1.0,
        }
    }

    /// The decision, waiting for it if need be.
    pub fn accepted(&self) -> bool {
        match self {
            Self::Known { accepted, .. } => *accepted,
            Self::Later { accepted, .. } => accepted.get(),
        }
    }

    /// What `tensor` is now, if it may be wanted back by [`choose`](Self::choose).
    ///
    /// A second owner would keep an update from happening in place, so there is none when the host knows already.
    pub(crate) fn keep<const D: usize>(&self, tensor: &Tensor<B, D>) -> Option<Tensor<B, D>> {
        matches!(self, Self::Later { .. }).then(|| tensor.clone())
    }

    /// `new` if the update happens, else what was kept; both of the same shape.
    pub(crate) fn choose<const D: usize>(
        &self,
        new: Tensor<B, D>,
        kept: Option<Tensor<B, D>>,
    ) -> Tensor<B, D> {
        match (self, kept) {
            (Self::Later { accept, .. }, Some(old)) => {
                let mask = accept.clone().reshape([1; D]).expand(new.dims());
                old.mask_where(mask, new)
            }
            _ => new,
        }
    }

    /// A gradient and the factor that it is still to be multiplied by: the host's is left to whoever uses it.
    pub(crate) fn scale(&self, gradient: Tensor<B, 2>) -> (Tensor<B, 2>, f64) {
        match self {
            Self::Known { scale, .. } => (gradient, *scale),
            Self::Later { scale, .. } => (gradient * scale.clone().reshape([1, 1]), 1.0),
        }
    }
}
