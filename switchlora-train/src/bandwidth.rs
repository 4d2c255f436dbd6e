//! How fast memory is read: what a token costs at least, since every weight is read for it.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Bytes that are read: more than caches hold.
const BYTES: usize = 256 << 20;
/// The best of so many tries counts.
const TRIES: usize = 5;

/// Bytes a second that `B` reads from its memory.
pub(crate) fn bandwidth<B: Backend>(device: &B::Device) -> f64 {
    let name = B::name(device);
    match name.contains("flex") || name.contains("ndarray") {
        true => host(),
        false => on_device::<B>(device),
    }
}

/// All cores compare two halves of the bytes, which are equal: a read and nothing else.
fn host() -> f64 {
    let halves = [vec![1_u8; BYTES / 2], vec![1_u8; BYTES / 2]];
    best(BYTES, || {
        let [left, right] = &halves;
        let chunk = BYTES / 2 / rayon::current_num_threads().max(1);
        let pairs = left.par_chunks(chunk).zip(right.par_chunks(chunk));
        black_box(pairs.all(|(left, right)| black_box(left) == black_box(right)));
    })
}

/// The device adds one to a tensor: each number is read once and written once.
fn on_device<B: Backend>(device: &B::Device) -> f64 {
    let zeros = TensorData::zeros::<f32, _>([BYTES / 8]);
    let tensor = Tensor::<B, 1>::from_data(zeros, device);
    best(BYTES, || {
        let more = tensor.clone() + 1.0;
        // To read one number is to wait for all of them.
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
