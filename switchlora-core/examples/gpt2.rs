//! A small GPT-2 made of Burn's own modules, as a byte-level language model: in full rank, and with SwitchLoRA on the
//! same modules.
//!
//! `cargo run -p switchlora-core --example gpt2`
//!
//! One training each from the same start, at the default learning rates of the two methods.

#[path = "models/gpt2.rs"]
mod model;

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, Optimizer};
use burn::prelude::*;
use burn_flex::Flex;
use model::{CONTEXT, Gpt2};
use rand::{Rng, SeedableRng};
use switchlora_core::{ClipGradNorm, Method, MethodConfig, SwitchSchedule, Weights};

/// Washington's addresses to Congress, in the public domain; the last 8 KiB are held out.
const TEXT: &[u8] = include_bytes!("data/washington.txt");
const END: usize = TEXT.len() - 8192;
const RANK: usize = 16;

/// Mean loss per byte of the windows of text that begin at `starts`.
fn loss<B: Backend>(model: &Gpt2<B>, starts: impl Iterator<Item = usize>) -> Tensor<B, 1> {
    let device = &model.devices()[0];
    let windows: Vec<_> = starts.map(|s| &TEXT[s..=s + CONTEXT]).collect();
    let bytes = TensorData::new(windows.concat(), [windows.len(), CONTEXT + 1]);
    let bytes = Tensor::<B, 2, Int>::from_data(bytes, device);
    let [inputs, targets] = [0, 1].map(|first| bytes.clone().narrow(1, first, CONTEXT));
    let logits = model.forward(inputs); // [windows, CONTEXT, 256]
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    cross_entropy.forward(logits.flatten(0, 1), targets.flatten(0, 1))
}

/// Trains for `updates` updates. Returns the number of trained parameters, and the perplexity per byte of held-out
/// text.
pub fn train(method: Method, updates: u64) -> (usize, f32) {
    type B = Autodiff<Flex>;
    let device = Default::default();
    B::seed(&device, 0);
    let mut model = Gpt2::<B>::new(&device);
    let schedule = SwitchSchedule::decaying(40.0, 0.1, updates);
    let config = MethodConfig::new(method, RANK, schedule).expect("a valid method");
    // Every matrix of the blocks. Weights::linear would leave out the last one, taking it for the output layer.
    let weights = Weights::matching(|path, _| path.starts_with("blocks.").then_some(RANK));
    let rates = method.learning_rates();
    let optimizer = config.optimizer().on_weights(weights);
    let optimizer = optimizer.with_layer_rate(rates.layers / rates.others);
    let mut optimizer = ClipGradNorm::new(1.0, optimizer);
    let random = &mut rand_chacha::ChaCha8Rng::seed_from_u64(0);
    for update in 0..updates {
        let starts = (0..16).map(|_| random.random_range(0..END - CONTEXT));
        let gradients = loss(&model, starts).backward();
        let gradients = GradientsParams::from_grads(gradients, &model);
        let decay = 1.0 - update as f64 / updates as f64;
        model = optimizer.step(rates.others * decay, model, gradients);
    }
    let held_out = (END..TEXT.len() - CONTEXT).step_by(CONTEXT);
    let perplexity = loss(&model.valid(), held_out).exp().into_scalar();
    let moments = optimizer.inner().to_record().moments;
    let trained = moments.values().map(|of| of.first.num_elements());
    (trained.sum(), perplexity)
}

#[allow(dead_code, reason = "the tests call train")]
fn main() {
    for method in [Method::Full, Method::SwitchLora] {
        let (trained, perplexity) = train(method, 200);
        println!("{method:10} {trained:6} trained parameters, perplexity per byte {perplexity:.2}");
    }
}
