//! Looking into an update while it happens.

use crate::model::LlamaForCausalLm;
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;

/// A part of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The loss of a micro-batch.
    Forward,
    /// The gradients of a micro-batch. The sum of two of them is part of the phase that follows.
    Backward,
    /// The sum over processes; nothing in a process alone.
    Exchange,
    /// The mean of the gradients, and the optimizer's step.
    Optimizer,
}

/// Sees the phases of an update. `()` sees nothing.
///
/// The calls come from the thread that called [`Training::update`](super::Training::update), outside of the thread
/// pool.
pub trait Observer<B: AutodiffBackend> {
    /// Called at the end of each phase. The device may still compute it: whoever measures time waits for the device
    /// here.
    fn phase(&mut self, _phase: Phase) {}

    /// Called between backward and the optimizer's step with the mean gradients of the update, before clipping.
    ///
    /// Returns the gradients that the optimizer gets.
    fn gradients(
        &mut self,
        _model: &LlamaForCausalLm<B>,
        gradients: GradientsParams,
    ) -> GradientsParams {
        gradients
    }
}

impl<B: AutodiffBackend> Observer<B> for () {}
