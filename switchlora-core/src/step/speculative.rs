//! Host state that runs ahead of the device: it is rolled back if the last update turns out to be refused.

use super::deferred::Deferred;
use super::guard::Guard;
use burn::tensor::backend::Backend;
use std::ops::{Deref, DerefMut};

/// Host state that goes on as if the last update had been accepted, and is rolled back if it was refused.
#[derive(Clone, Debug)]
pub(crate) struct Speculative<T> {
    now: T,
    before: Option<(T, Deferred<bool>)>,
}

impl<T: Clone> Speculative<T> {
    /// A state that is decided.
    pub fn new(now: T) -> Self {
        Self { now, before: None }
    }

    /// The state once the last decision is known; waits for it.
    pub fn settled(&self) -> &T {
        match &self.before {
            Some((before, accepted)) if !accepted.get() => before,
            _ => &self.now,
        }
    }

    /// Waits for the last decision and goes back if the update was refused.
    pub fn settle(&mut self) {
        if let Some((before, accepted)) = self.before.take()
            && !accepted.get()
        {
            self.now = before;
        }
    }

    /// Begins an update under `guard`; the last update must be [settled](Self::settle).
    pub fn begin<B: Backend>(&mut self, guard: &Guard<B>) {
        if let Guard::Later { accepted, .. } = guard {
            self.before = Some((self.now.clone(), accepted.clone()));
        }
    }
}

impl<T> Deref for Speculative<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.now
    }
}

impl<T> DerefMut for Speculative<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.now
    }
}
