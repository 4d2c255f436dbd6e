//! Lower bound of the time of an update: the multiply-adds of its matrix products, at the throughput of one large
//! product on the same device.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Distribution, Tensor};
use std::time::Instant;
use switchlora_ops::check::product;
use switchlora_train::experiment::Method;
use switchlora_train::model::LlamaConfig;

/// Number of products to time; the fastest one counts.
const TRIES: usize = 8;

/// Multiply-adds of the matrix products of one update of `tokens` tokens in sequences of `length`.
///
/// Per token, a trained weight `[m, n]` needs `m n` for the forward pass, `m n` for the gradient of the input and `m n`
/// for the gradient of the weight. A frozen weight needs the first two, and its factors of rank `r` need `3 r (m + n)`.
/// Attention needs `2 length` products of a head's width for the forward pass, and twice as many for the backward pass.
pub(super) fn multiply_adds(
    model: &LlamaConfig,
    method: Method,
    rank: usize,
    tokens: usize,
    length: usize,
) -> f64 {
    let linears = model.linears().into_iter();
    let linears: f64 = linears
        .map(|linear| {
            let (n, m) = (linear.shape.d_input as f64, linear.shape.d_output as f64);
            match method {
                Method::Full => 3.0 * m * n,
                // Per update, not per token: five iterations of three products.
                Method::Muon => {
                    let (short, long) = (m.min(n), m.max(n));
                    let iteration = 2.0 * short * short * long + short.powi(3);
                    3.0 * m * n + 5.0 * iteration / tokens as f64
                }
                // Per update, not per token: projecting the gradient to rank `r`, and projecting the step back.
                Method::GaLore => 3.0 * m * n + 2.0 * m * n * rank as f64 / tokens as f64,
                Method::Lora | Method::ReLora | Method::SwitchLora => {
                    2.0 * m * n + 3.0 * rank as f64 * (m + n)
                }
            }
        })
        .sum();
    let head = 3.0 * (model.vocab_size * model.hidden_size) as f64;
    let attention = 6.0 * (model.num_hidden_layers * length * model.hidden_size) as f64;
    tokens as f64 * (linears + head + attention)
}

/// Multiply-adds per second of the fastest product of two `[size, size]` matrices.
pub(super) fn peak<B: Backend>(size: usize, dtype: DType, device: &B::Device) -> f64 {
    let matrix = || {
        let matrix = Tensor::<B, 2>::random([size, size], Distribution::Uniform(-1.0, 1.0), device);
        matrix.cast(dtype)
    };
    let (a, b) = (matrix(), matrix());
    let time = || {
        let _ = B::sync(device);
        let began = Instant::now();
        let product = product(a.clone(), b.clone());
        let _ = B::sync(device);
        drop(product);
        began.elapsed().as_secs_f64()
    };
    let fastest = (0..TRIES).map(|_| time()).fold(f64::INFINITY, f64::min);
    (size as f64).powi(3) / fastest
}
