//! Layers in bf16, or with a frozen weight that rests in bf16, beside layers in f32.

use burn::backend::Autodiff;
use burn::module::Param;
use burn::nn::Linear;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::{DType, Tensor};
use burn_flex::Flex;
use rand_chacha::ChaCha8Rng;
use switchlora_core::init::uniform;
use switchlora_core::{
    Precision, Purpose, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule, stream,
};

type B = Autodiff<Flex>;

/// On the host: the backend's own random numbers are shared by all tests of the process.
fn draw(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Tensor<B, 2> {
    Tensor::from_data(uniform(rows, columns, 1.7, random), &Default::default())
}

fn layer(
    method: &SwitchLoraConfig,
    n: usize,
    m: usize,
    random: &mut ChaCha8Rng,
) -> SwitchLoraLinear<B> {
    let linear = Linear {
        weight: Param::from_tensor(draw(n, m, random) * 0.2),
        bias: Some(Param::from_tensor(draw(1, m, random).reshape([m]))),
    };
    method.linear(n, m).adapt_from(linear, random)
}

/// Output, and gradients of input and factors, of one layer.
fn run(precision: Precision, rank: Option<usize>) -> Vec<Vec<f32>> {
    let random = &mut stream(7, Purpose::Weights, 0, 0);
    let method = SwitchLoraConfig {
        precision,
        ..SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap()
    };
    let layer = layer(&method, 33, 20, random);
    let x = draw(17, 33, random).require_grad();
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

/// Norm of the difference, and of the first.
fn off_and_size(exact: &Tensor<B, 2>, found: &Tensor<B, 2>) -> (f32, f32) {
    let norm = |x: Tensor<B, 2>| x.square().sum().sqrt().into_scalar();
    (norm(exact.clone() - found.clone()), norm(exact.clone()))
}

#[test]
fn a_frozen_weight_rests_in_bf16_through_products_and_switches_which_change_nothing_but_its_rounding()
 {
    let random = &mut stream(3, Purpose::Weights, 0, 0);
    for precision in [Precision::F32, Precision::Bf16] {
        let mut method = SwitchLoraConfig::new(Some(4), SwitchSchedule::fixed(10.0)).unwrap();
        // Freezing for one update and an interval of two make a small layer switch at every update.
        (method.freeze, method.schedule) = (1, SwitchSchedule::fixed(2.0));
        (method.frozen, method.precision) = (Precision::Bf16, precision);
        let mut layer = layer(&method, 21, 30, random);
        let mut optimizer = method.optimizer();
        let x = draw(9, 21, random);
        let before = layer.effective_weight();
        for update in 0..6 {
            assert_eq!(layer.weight.val().dtype(), DType::BF16);
            let exact = x.clone().matmul(layer.effective_weight());
            let bias = layer.bias.as_ref().map(|bias| bias.val().unsqueeze());
            let exact = bias.into_iter().fold(exact, |exact, bias| exact + bias);
            let (off, size) = off_and_size(&exact, &layer.forward(x.clone()));
            let most = match precision {
                Precision::F32 => 1e-5,
                Precision::Bf16 => 1e-2,
            };
            assert!(
                off < most * size,
                "{precision:?}, update {update}: {off} of {size}"
            );
            // Without gradients nothing but the switch happens.
            layer = optimizer.step(0.1, layer, GradientsParams::new());
        }
        assert!(optimizer.last_switch_count() > 0);
        let (off, size) = off_and_size(&before, &layer.effective_weight());
        // Six roundings by up to 2^-9 of numbers that the factors' product makes a little larger than the sum.
        assert!(off > 0.0 && off < 6.0 / 256.0 * size, "{off} of {size}");
        let gradients = layer.forward(x).square().sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &layer);
        let a = layer.lora_a.as_ref().unwrap();
        let gradient = gradients.get::<Flex, 2>(a.id).unwrap();
        assert_eq!(gradient.dtype(), DType::F32);
        assert!(gradients.get::<Flex, 2>(layer.weight.id).is_none());
    }
}
