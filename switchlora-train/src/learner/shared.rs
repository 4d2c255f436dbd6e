//! An optimizer that can be looked at while the learner owns it.

use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One optimizer behind several handles: the learner steps it, the strategy reads what it did and saves it.
#[derive(Debug)]
pub struct Shared<O>(Arc<Mutex<O>>);

impl<O> Shared<O> {
    /// A first handle.
    pub fn new(optimizer: O) -> Self {
        Self(Arc::new(Mutex::new(optimizer)))
    }

    /// The optimizer itself.
    pub fn lock(&self) -> MutexGuard<'_, O> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> Clone for Shared<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M, B, O> Optimizer<M, B> for Shared<O>
where
    M: AutodiffModule<B>,
    B: AutodiffBackend,
    O: Optimizer<M, B>,
{
    type Record = O::Record;

    fn step(&mut self, learning_rate: LearningRate, module: M, gradients: GradientsParams) -> M {
        self.lock().step(learning_rate, module, gradients)
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        self.lock().step_multi(lr, module, gradients)
    }

    fn to_record(&self) -> Self::Record {
        self.lock().to_record()
    }

    fn load_record(self, record: Self::Record) -> Self {
        let loaded = self.lock().clone().load_record(record);
        Self::new(loaded)
    }
}
