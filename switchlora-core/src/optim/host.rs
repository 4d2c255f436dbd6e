//! Host state while the last update may still be refused.

use super::guard::Guard;
use crate::deferred::Deferred;
use burn::tensor::backend::Backend;
use std::ops::{Deref, DerefMut};

/// What follows from the updates that happened. It goes on as if the last one had, and goes back if that was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Undecided<T> {
    now: T,
    before: Option<(T, Deferred<bool>)>,
}

impl<T: Clone> Undecided<T> {
    /// The state once the last decision is known.
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

    /// An update begins under `guard`, the last one being settled.
    pub fn begin<B: Backend>(&mut self, guard: &Guard<B>) {
        if let Guard::Later { accepted, .. } = guard {
            self.before = Some((self.now.clone(), accepted.clone()));
        }
    }
}

impl<T> Deref for Undecided<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.now
    }
}

impl<T> DerefMut for Undecided<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.now
    }
}
