//! The decision whether an update happens, and the factor of its gradients.
//!
//! On a backend that computes an operation when it is called (a CPU) the host knows at once, and a refused update never
//! begins. On a GPU the update is queued together with the decision as a tensor: every write chooses on the device between
//! the new and the old value, and the host, which went on as if the update had happened, learns of it one update later.

use super::deferred::Deferred;
use burn::module::{AutodiffModule, ParamId};
use burn::optim::{GradientsParams, LearningRate, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{BasicOps, Tensor};
use switchlora_ops::scatter_rows;

/// An optimizer whose update can be scaled and refused by a decision that only the device may know yet.
pub trait GuardedOptimizer<M: AutodiffModule<B>, B: AutodiffBackend>: Optimizer<M, B> {
    /// What an update of `module` takes in the place of its gradients, and the ids of those that belong to no parameter of the
    /// module, `[rows, columns]` each. Gradients that have been through here before stay what they are.
    fn own_gradients(
        &mut self,
        _module: &M,
        gradients: GradientsParams,
    ) -> (GradientsParams, Vec<ParamId>) {
        (gradients, Vec::new())
    }

    /// One update of `module`; if `guard` refuses, everything stays exactly as it was.
    fn step_guarded(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
    ) -> M;

    /// As [`step_guarded`](Self::step_guarded), where other processes update the parameters that have no gradient here.
    /// `exchange` returns the module with these. It is called once the others have been updated, before anything that follows
    /// from the new values; not where the update is refused at once.
    fn step_guarded_among(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
        exchange: &mut dyn FnMut(M) -> M,
    ) -> M {
        exchange(self.step_guarded(learning_rate, module, gradients, guard))
    }
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
        /// `[1]`, the factor of every gradient; negative if the update is refused.
        verdict: Tensor<B, 1>,
        /// Whether the update happens, on its way to the host.
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

    /// Whether the update happens; waits for the decision.
    pub fn accepted(&self) -> bool {
        match self {
            Self::Known { accepted, .. } => *accepted,
            Self::Later { accepted, .. } => accepted.get(),
        }
    }

    /// Whether the host knows already that the update is refused.
    pub(crate) fn is_refused(&self) -> bool {
        match self {
            Self::Known { accepted, .. } => !accepted,
            Self::Later { .. } => false,
        }
    }

    /// The factor of gradients that the host knows.
    pub(crate) fn scale(&self) -> f64 {
        match self {
            Self::Known { scale, .. } => *scale,
            Self::Later { .. } => 1.0,
        }
    }

    /// The factor of gradients that only the device knows, `[1]`, negative for a refused update.
    pub(crate) fn verdict(&self) -> Option<Tensor<B, 1>> {
        match self {
            Self::Known { .. } => None,
            Self::Later { verdict, .. } => Some(verdict.clone()),
        }
    }

    /// `new` if the update happens, else `old()`; both of the same shape.
    pub(crate) fn choose<const D: usize, K: BasicOps<B>>(
        &self,
        new: Tensor<B, D, K>,
        old: impl FnOnce(&Tensor<B, D, K>) -> Tensor<B, D, K>,
    ) -> Tensor<B, D, K> {
        match self {
            Self::Known { .. } => new,
            Self::Later { verdict, .. } => {
                // First: the reading of rows would stand between the two operations, which are one launch.
                let old = old(&new);
                let accept = verdict.clone().greater_equal_elem(0.0).reshape([1; D]);
                old.mask_where(accept.expand(new.dims()), new)
            }
        }
    }

    /// `matrix * factor` if the update happens, else `matrix`; in place if nobody else holds it.
    pub(crate) fn scale_matrix(&self, matrix: Tensor<B, 2>, factor: f64) -> Tensor<B, 2> {
        match self {
            Self::Known { .. } => matrix * factor,
            Self::Later { .. } => {
                let factor = Tensor::full([1, 1], factor, &matrix.device());
                matrix * self.choose(factor, Tensor::ones_like)
            }
        }
    }

    /// `matrix: [rows, columns]` with the given rows zero, if the update happens.
    pub(crate) fn zero_rows(&self, matrix: Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
        if rows.is_empty() {
            return matrix;
        }
        let zeros = Tensor::zeros([rows.len(), matrix.dims()[1]], &matrix.device());
        self.write_rows(matrix, rows, zeros)
    }

    /// `matrix: [rows, columns]` with `values: [written, columns]` in the given rows, if the update happens.
    pub(crate) fn write_rows(
        &self,
        matrix: Tensor<B, 2>,
        rows: &[usize],
        values: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        scatter_rows(matrix, rows, values, self.verdict())
    }
}
