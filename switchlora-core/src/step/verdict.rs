//! The decision about an update from its gradient norm and its loss: on the host at once, or on the device.

use super::deferred::Deferred;
use super::guard::Guard;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Added to the norm before dividing by it, as PyTorch does.
const NORM_EPSILON: f64 = 1e-6;

/// Decides on the host about an update with gradients of this `norm: [1]` and this `loss: [1]`; waits for both. Returns the
/// norm as well.
pub(super) fn decide_now<B: Backend>(
    norm: Tensor<B, 1>,
    loss: Option<Tensor<B, 1>>,
    max_norm: f64,
) -> (Guard<B>, Deferred<f32>) {
    let (norm, accepted) = judge(watched(norm, loss));
    let scale = max_norm / (f64::from(norm) + NORM_EPSILON);
    let guard = Guard::Known {
        accepted,
        scale: scale.min(1.0),
    };
    (guard, Deferred::ready(norm))
}

/// Decides on the device, without waiting.
pub(super) fn decide_later<B: Backend>(
    norm: Tensor<B, 1>,
    loss: Option<Tensor<B, 1>>,
    max_norm: f64,
) -> (Guard<B>, Deferred<f32>) {
    let watched = watched(norm.clone(), loss);
    // A number that is not finite, times zero, is not-a-number; not-a-number is not equal to itself; and infinity is not
    // below the largest number.
    let accept = ((watched.clone() * 0.0).sum() + norm.clone()).lower_equal_elem(f32::MAX);
    let judged = Deferred::read(move || judge(watched));
    let scale = match max_norm.is_finite() {
        true => (norm + NORM_EPSILON).recip() * max_norm,
        false => norm.ones_like(),
    };
    let scale = scale.clamp_max(1.0);
    let guard = Guard::Later {
        verdict: scale.ones_like().neg().mask_where(accept, scale),
        accepted: judged.map(|(_, accepted)| accepted),
    };
    (guard, judged.map(|(norm, _)| norm))
}

/// The norm, and the loss after it if it is given.
fn watched<B: Backend>(norm: Tensor<B, 1>, loss: Option<Tensor<B, 1>>) -> Tensor<B, 1> {
    Tensor::cat(std::iter::once(norm).chain(loss).collect(), 0)
}

/// The norm, and whether it and the loss after it are finite; waits for the device.
fn judge<B: Backend>(watched: Tensor<B, 1>) -> (f32, bool) {
    let watched: Vec<f32> = watched.into_data().iter::<f32>().collect();
    let norm = watched.first().copied().unwrap_or(f32::NAN);
    (norm, watched.iter().all(|value| value.is_finite()))
}
