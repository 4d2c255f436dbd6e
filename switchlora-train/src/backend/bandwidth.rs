//! Memory bandwidth: the lower bound of the time per token, since every weight is read for each token.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;
use switchlora_ops::computes_at_once;

/// Bytes to read: more than caches hold.
const BYTES: usize = 256 << 20;
/// Number of tries; the fastest counts.
const TRIES: usize = 5;

/// Returns the memory bandwidth of `B` on `device`, in bytes per second.
pub(crate) fn bandwidth<B: Backend>(device: &B::Device) -> f64 {
    match computes_at_once::<B>(device) {
        true => host(),
        false => on_device::<B>(device),
    }
}

/// All cores compare two equal halves of the bytes: a read and nothing else.
fn host() -> f64 {
    let halves = [vec![1_u8; BYTES / 2], vec![1_u8; BYTES / 2]];
    best(BYTES, || {
        let [left, right] = &halves;
        let chunk = BYTES / 2 / rayon::current_num_threads().max(1);
        let pairs = left.par_chunks(chunk).zip(right.par_chunks(chunk));
        black_box(pairs.all(|(left, right)| black_box(left) == black_box(right)));
    })
}

/// Adds one to a tensor: each element is read once and written once.
fn on_device<B: Backend>(device: &B::Device) -> f64 {
    let zeros = TensorData::zeros::<f32, _>([BYTES / 8]);
    let tensor = Tensor::<B, 1>::from_data(zeros, device);
    best(BYTES, || {
        let more = tensor.clone() + 1.0;
        // Reading one element waits for all of them.
        black_box(more.slice_dim(0, 0..1).into_data());
    })
}

fn best(bytes: usize, mut work: impl FnMut()) -> f64 {
    let rates = (0..TRIES).map(|_| {
        let began = Instant::now();
        work();
        bytes as f64 / began.elapsed().as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_at_a_rate_that_memory_has() {
        let rate = bandwidth::<burn_ndarray::NdArray>(&Default::default());
        // Slower than a disk or faster than any memory there is would be a mistake of the measurement.
        assert!((1e8..1e14).contains(&rate), "{rate}");
    }
}
