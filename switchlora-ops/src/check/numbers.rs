//! Random inputs and the numbers of a result.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

/// Tokens, some of which repeat.
pub(crate) fn tokens_of<B: Backend>(
    tokens: usize,
    vocabulary: usize,
    device: &B::Device,
) -> Tensor<B, 1, Int> {
    let targets: Vec<i32> = (0..tokens).map(|i| (i * 7 % vocabulary) as i32).collect();
    Tensor::from_data(TensorData::new(targets, [tokens]), device)
}

/// A sequence that follows from a seed.
pub(crate) struct Random(pub u64);

impl Random {
    /// The next number of 31 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005);
        self.0 = self.0.wrapping_add(1442695040888963407);
        self.0 >> 33
    }
}

/// Random numbers in [-1, 1), of a seed and a stream.
pub(crate) fn numbers(seed: u64, stream: usize, shape: [usize; 2]) -> Vec<f64> {
    let mut random = Random(seed ^ ((stream as u64 + 1) << 40));
    let mut next = || {
        // Exact in f32, so that f32 and f64 start from the same numbers.
        f64::from(((random.next() as f64 / f64::from(1u32 << 31)) * 2.0 - 1.0) as f32)
    };
    (0..shape[0] * shape[1]).map(|_| next()).collect()
}

/// A tensor of these values.
pub(crate) fn put<B: Backend>(values: Vec<f64>, shape: [usize; 2], dtype: DType) -> Tensor<B, 2> {
    let data = TensorData::new(values, shape).convert_dtype(dtype);
    Tensor::from_data(data, (&Default::default(), dtype))
}

/// The elements of a tensor.
pub(crate) fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
