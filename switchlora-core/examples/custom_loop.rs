//! SwitchLoRA in a hand-written loop, on a model that is not a LLaMA: two adapted layers that learn a random teacher.
//!
//! `cargo run -p switchlora-core --example custom_loop`

use burn::backend::Autodiff;
use burn::module::Module;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::activation::gelu;
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use switchlora_core::{ClipGradNorm, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule};

type B = Autodiff<Flex>;

#[derive(Module, Debug)]
struct Model<B: Backend> {
    up: SwitchLoraLinear<B>,
    down: SwitchLoraLinear<B>,
}

impl<B: Backend> Model<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.down.forward(gelu(self.up.forward(x)))
    }
}

/// Gives the first and the last loss.
pub fn train() -> (f32, f32) {
    let device = Default::default();
    let updates = 200;
    let schedule = SwitchSchedule::decaying(40.0, 0.1, updates);
    let method = SwitchLoraConfig::new(Some(8), schedule).expect("a valid method");
    let mut model = Model::<B> {
        up: method.linear(24, 64).with_bias(true).init(&device),
        down: method.linear(64, 16).with_bias(true).init(&device),
    };
    let mut optimizer = ClipGradNorm::new(1.0, method.optimizer());
    let teacher = Tensor::<B, 2>::random([24, 16], Distribution::Normal(0.0, 0.2), &device);
    let mut losses = Vec::new();
    for _ in 0..updates {
        let x = Tensor::<B, 2>::random([64, 24], Distribution::Normal(0.0, 1.0), &device);
        let loss = (model.forward(x.clone()) - x.matmul(teacher.clone()))
            .square()
            .mean();
        losses.push(loss.clone().into_scalar());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1e-2, model, gradients);
    }
    (losses[0], losses[losses.len() - 1])
}

#[allow(dead_code, reason = "the tests call train")]
fn main() {
    let (first, last) = train();
    println!("loss {first:.4} -> {last:.4}");
}
