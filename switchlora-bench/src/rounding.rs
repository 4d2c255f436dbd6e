//! Whether a device rounds the operands of a matrix product in f32.
//!
//! Tensor cores of GPUs multiply f32 as TF32: the operands keep 11 of their 24 bits, the sums are f32.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use switchlora_core::Precision;
use switchlora_ops::linear;

/// Width of the product.
const WIDTH: usize = 128;

/// Whether the operands of a product in f32 are rounded to fewer bits.
pub(crate) fn rounds_operands<B: Backend>(device: &B::Device) -> bool {
    // 1 + 2^-16 has 17 bits. In f32, a sum of 128 of these has no rounding error.
    let value = 1.0_f32 + f32::exp2(-16.0);
    let matrix = |value: f32| {
        let data = TensorData::new(vec![value; WIDTH * WIDTH], [WIDTH, WIDTH]);
        Tensor::<B, 2>::from_data(data, (device, DType::F32))
    };
    let product = linear(matrix(value), matrix(1.0), Precision::F32).into_data();
    let exact = f64::from(value) * WIDTH as f64;
    product
        .iter::<f64>()
        .any(|element| (element - exact).abs() > 0.5 * WIDTH as f64 * f64::exp2(-16.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchlora_train::backend::{BackendKind, Job, run_on};

    struct Rounds;

    impl Job for Rounds {
        type Output = bool;

        fn run<B: burn::tensor::backend::AutodiffBackend>(self, device: B::Device) -> bool {
            rounds_operands::<B>(&device)
        }
    }

    #[test]
    fn processors_multiply_f32_as_it_is() {
        for backend in [BackendKind::Flex, BackendKind::Ndarray] {
            if backend.is_compiled() {
                assert!(!run_on(backend, 0, Rounds).unwrap(), "{backend}");
            }
        }
    }
}
