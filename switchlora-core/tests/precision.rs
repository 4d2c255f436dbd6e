//! Layers in bf16 beside layers in f32.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Distribution, Tensor};
use burn_flex::Flex;
use switchlora_core::{Precision, SwitchLoraConfig, SwitchSchedule};

type B = Autodiff<Flex>;

/// Output, and gradients of input and factors, of one layer.
fn run(precision: Precision, rank: Option<usize>) -> Vec<Vec<f32>> {
    let device = Default::default();
    B::seed(&device, 7);
    let method = SwitchLoraConfig {
        precision,
        ..SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap()
    };
    let layer = method.linear(33, 20).with_bias(true).init::<B>(&device);
    let x = Tensor::<B, 2>::random([17, 33], Distribution::Normal(0.0, 1.0), &device);
    let x = x.require_grad();
    let y = layer.forward(x.clone());
    assert_eq!(y.dtype(), DType::F32);
    let gradients = y.clone().square().sum().backward();
    let mut found = vec![y.into_data(), x.grad(&gradients).unwrap().into_data()];
    for factor in [&layer.lora_a, &layer.lora_b].into_iter().flatten() {
        let gradient = factor.grad(&gradients).unwrap();
        assert_eq!(gradient.dtype(), DType::F32);
        found.push(gradient.into_data());
    }
    if rank.is_none() {
        found.push(layer.weight.grad(&gradients).unwrap().into_data());
    }
    found
        .iter()
        .map(|data| data.iter::<f32>().collect())
        .collect()
}

#[test]
fn bf16_computes_what_f32_does_to_two_digits_and_gradients_come_back_in_f32() {
    for rank in [None, Some(4)] {
        let (exact, rounded) = (run(Precision::F32, rank), run(Precision::Bf16, rank));
        assert_ne!(exact, rounded);
        for (exact, rounded) in exact.iter().zip(&rounded) {
            let norm =
                |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
            let off = norm(&mut exact.iter().zip(rounded).map(|(a, b)| a - b));
            let size = norm(&mut exact.iter().copied());
            // Operands and results are off by up to 2^-9 of themselves, and several meet in a gradient.
            assert!(off < 0.02 * size, "{off} of {size}");
        }
    }
}
