//! Runs a whole step of a training, such as a backward pass, on a thread of a pool.
//!
//! A thread of a pool that waits for a part of its work takes other work from the pool meanwhile. A backward pass holds a
//! lock of Burn's autodiff, and asks for the locks of every other one: if the other work is a backward pass too, or one
//! outside waits for this thread, they wait for each other for ever. So steps have a pool of their own, in which nothing but
//! the parts of one step at a time can be taken. A step that comes meanwhile runs on the thread that asks for it.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{LazyLock, Mutex, TryLockError};

/// As many threads as the global pool has, on which the parts of other work are computed.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let builder = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads());
    builder.build().ok()
});

/// Held by the step that is in the pool.
static IN_USE: Mutex<()> = Mutex::new(());

/// Runs `step` in the pool, or on this thread if the pool is in use.
pub(crate) fn run<R: Send>(step: impl FnOnce() -> R + Send) -> R {
    let pool = POOL.as_ref();
    let Some(pool) = pool.filter(|pool| pool.current_thread_index().is_none()) else {
        return step();
    };
    match IN_USE.try_lock() {
        Err(TryLockError::WouldBlock) => step(),
        // A step that panicked has left nothing behind.
        Ok(_) | Err(TryLockError::Poisoned(_)) => pool.install(step),
    }
}
