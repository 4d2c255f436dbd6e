//! Where work starts that is made of many parallel pieces.

use burn::tensor::backend::Backend;

/// Runs `work`, on a backend with kernels of our own as a thread of the pool that computes them.
///
/// From outside the pool each parallel piece wakes a thread, waits, and is woken itself; from inside it only offers its
/// second half. A training step has some hundred of them: on two cores that is a twenty-fifth of its time. Elsewhere, and
/// on GPUs, whose work is queued by thread, it is just called. What waits for another thread does not belong inside.
pub fn in_pool<B: Backend, R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    if crate::operations::has_pool::<B>() {
        return rayon::scope(|_| work());
    }
    work()
}
