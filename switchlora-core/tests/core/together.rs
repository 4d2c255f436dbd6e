//! Several trainings in one process, each on a thread of its own.

use burn::backend::Autodiff;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use switchlora_core::{ClipGradNorm, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule};
use switchlora_ops::in_pool;

const UPDATES: usize = 150;

/// Trains a layer, and returns its weight. The products are large enough for more than one thread.
fn train<B: AutodiffBackend>() -> Vec<f32> {
    let device = B::Device::default();
    let method = SwitchLoraConfig::new(Some(4), SwitchSchedule::fixed(10.0)).unwrap();
    let values = |rows: usize, columns: usize| {
        let value = |k: usize| ((k * 37 % 101) as f32 - 50.0) / 100.0;
        TensorData::new((0..rows * columns).map(value).collect(), [rows, columns])
    };
    let mut layer: SwitchLoraLinear<B> = method.linear(128, 96).adapt_from(
        burn::nn::Linear {
            weight: burn::module::Param::from_data(values(128, 96), &device),
            bias: None,
        },
        &mut switchlora_core::stream(1, switchlora_core::Purpose::Weights, 0, 0),
    );
    let input = Tensor::<B, 2>::from_data(values(64, 128), &device);
    let mut optimizer = ClipGradNorm::new(1.0, method.optimizer());
    for _ in 0..UPDATES {
        let loss = in_pool::<B, _>(|| layer.forward(input.clone()).powi_scalar(2).mean());
        let gradients = in_pool::<B, _>(|| GradientsParams::from_grads(loss.backward(), &layer));
        layer = optimizer.step(1e-3, layer, gradients);
    }
    layer.effective_weight().into_data().to_vec().unwrap()
}

#[test]
fn trainings_at_once_end_and_compute_what_each_computes_alone() {
    let alone = [train::<Autodiff<Flex>>(), train::<Autodiff<NdArray>>()];
    let (ended, ends) = channel();
    for number in 0..6 {
        let ended = ended.clone();
        thread::spawn(move || {
            let weight = match number % 2 {
                0 => train::<Autodiff<Flex>>(),
                _ => train::<Autodiff<NdArray>>(),
            };
            ended.send((number, weight)).unwrap();
        });
    }
    for _ in 0..6 {
        let end = ends.recv_timeout(Duration::from_secs(120));
        let (number, weight) = end.expect("the trainings wait for each other");
        assert!(weight == alone[number % 2], "training {number} differs");
    }
}
