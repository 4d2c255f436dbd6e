//! A convolutional network made of Burn's own modules, on drawn images: in full rank, and with SwitchLoRA.
//!
//! `cargo run -p switchlora-core --example images`
//!
//! One training each from the same start, at the default learning rates of the two methods.

#[path = "data/shapes.rs"]
mod shapes;

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::nn::{conv::*, loss::CrossEntropyLossConfig, pool::*, *};
use burn::optim::{GradientsParams, Optimizer};
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn_flex::Flex;
use rand::SeedableRng;
use switchlora_core::{ClipGradNorm, Method, MethodConfig, SwitchSchedule, Weights};

#[derive(Module, Debug)]
struct Network<B: Backend> {
    first: Conv2d<B>,
    second: Conv2d<B>,
    third: Conv2d<B>,
    pool: MaxPool2d,
    hidden: Linear<B>,
    output: Linear<B>,
}

impl<B: Backend> Network<B> {
    fn new(device: &B::Device) -> Self {
        let conv = |inputs, outputs| {
            let config = Conv2dConfig::new([inputs, outputs], [3, 3]);
            config.with_padding(PaddingConfig2d::Same).init(device)
        };
        Self {
            first: conv(1, 16),
            second: conv(16, 32),
            third: conv(32, 32),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            hidden: LinearConfig::new(128, 64).init(device),
            output: LinearConfig::new(64, 4).init(device),
        }
    }

    /// `[batch, 1, 16, 16]` to `[batch, 4]`.
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        let stages = [&self.first, &self.second, &self.third];
        let stage = |x, conv: &Conv2d<B>| self.pool.forward(relu(conv.forward(x)));
        let x = stages.into_iter().fold(images, stage); // [batch, 32, 2, 2]
        let hidden = self.hidden.forward(x.flatten(1, 3)); // [batch, 64]
        self.output.forward(relu(hidden))
    }
}

/// Trains for `updates` updates. Returns the number of trained parameters, and the accuracy on images never seen.
pub fn train(method: Method, updates: u64) -> (usize, f32) {
    type B = Autodiff<Flex>;
    let device = Default::default();
    B::seed(&device, 0);
    let mut model = Network::<B>::new(&device);
    let config = MethodConfig::new(method, 8, SwitchSchedule::decaying(40.0, 0.1, updates));
    // A convolution is a matrix of [outputs, inputs x 3 x 3]; the first one, of [16, 9], is too small to save anything.
    let weights = Weights::matching(|path, shape| match (path, shape.len()) {
        ("first.weight", _) => None,
        ("hidden.weight", _) | (_, 4) => Some(8),
        _ => None,
    });
    let rates = method.learning_rates();
    let optimizer = config.expect("a valid method").optimizer();
    let optimizer = optimizer.with_layer_rate(rates.layers / rates.others);
    let optimizer = optimizer.on_weights(weights);
    let mut optimizer = ClipGradNorm::new(1.0, optimizer);
    let random = &mut rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let (unseen, expected) = shapes::draw::<Flex>(512, random, &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    for update in 0..updates {
        let (images, classes) = shapes::draw::<B>(32, random, &device);
        let loss = cross_entropy.forward(model.forward(images), classes);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let decay = 1.0 - update as f64 / updates as f64;
        model = optimizer.step(rates.others * decay, model, gradients);
    }
    let found = model.valid().forward(unseen).argmax(1).flatten(0, 1);
    let moments = optimizer.inner().to_record().moments;
    let trained = moments.values().map(|of| of.first.num_elements());
    let accuracy = found.equal(expected).float().mean().into_scalar();
    (trained.sum(), accuracy)
}

#[allow(dead_code, reason = "the tests call train")]
fn main() {
    for method in [Method::Full, Method::SwitchLora] {
        let (trained, accuracy) = train(method, 600);
        println!("{method:10} {trained:5} trained parameters, accuracy {accuracy:.3}");
    }
}
