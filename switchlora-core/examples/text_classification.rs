//! Burn's `TransformerEncoder` learns to classify sentences in burn-train's `Learner`, with checkpoints and early
//! stopping: in full rank, and with SwitchLoRA on the same modules.
//!
//! `cargo run -p switchlora-core --example text_classification`
//!
//! Add `-- 4` to go on after the checkpoints of epoch 4 (burn-train keeps the newest two). Early stopping counts from
//! there.

#[path = "models/classifier.rs"]
mod classifier;
#[path = "data/sentences.rs"]
mod sentences;

use burn::backend::Autodiff;
use burn::data::{dataloader::DataLoaderBuilder, dataset::InMemDataset};
use burn::optim::lr_scheduler::constant::ConstantLr;
use burn::prelude::*;
use burn::record::DefaultRecorder;
use burn::train::metric::store::{Aggregate, Direction, Split};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::renderer::CliMetricsRenderer;
use burn::train::{
    InferenceStep, Learner, MetricEarlyStoppingStrategy, StoppingCondition, SupervisedTraining,
};
use burn_flex::Flex;
use classifier::Classifier;
use rand::SeedableRng;
use sentences::{Words, sentence};
use std::path::Path;
use switchlora_core::{ClipGradNorm, Method, MethodConfig, SwitchSchedule, Weights};

const RANK: usize = 8;

/// Trains for at most `epochs` epochs of 64 updates, with checkpoints in `folder`; goes on after the checkpoint of the
/// epoch `resume`, if one is given. Returns the accuracy on sentences never seen, and the outputs for them.
pub fn train(
    folder: &Path,
    method: Method,
    epochs: usize,
    resume: Option<usize>,
) -> (f32, Vec<f32>) {
    type B = Autodiff<Flex>;
    let device = Default::default();
    B::seed(&device, 0);
    let random = &mut rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let mut draw = |n| InMemDataset::new((0..n).map(|_| sentence(random)).collect());
    let loader = DataLoaderBuilder::<B, _, _>::new(Words).batch_size(32);
    let others = || DataLoaderBuilder::<Flex, _, _>::new(Words).batch_size(512);
    let (train, valid, unseen) = (draw(2048), draw(512), draw(512));
    let config = MethodConfig::new(method, RANK, SwitchSchedule::decaying(40.0, 0.1, 640));
    let rates = method.learning_rates();
    // Every linear layer of the encoder; the last one, the output layer, is trained in full.
    let optimizer = config.expect("a valid method").optimizer();
    let optimizer = optimizer.on_weights(Weights::linear(RANK));
    let optimizer = optimizer.with_layer_rate(rates.layers / rates.others);
    let optimizer = ClipGradNorm::new(1.0, optimizer);
    let stopping = MetricEarlyStoppingStrategy::new(
        &AccuracyMetric::<Flex>::new(),
        Aggregate::Mean,
        Direction::Highest,
        Split::Valid,
        StoppingCondition::NoImprovementSince { n_epochs: 2 },
    );
    let training = SupervisedTraining::new(folder, loader.build(train), others().build(valid))
        .metrics((LossMetric::new(), AccuracyMetric::new()))
        .early_stopping(stopping)
        .with_file_checkpointer(DefaultRecorder::new())
        .with_application_logger(None)
        .renderer(CliMetricsRenderer::new())
        .num_epochs(epochs);
    let training = match resume {
        Some(epoch) => training.checkpoint(epoch),
        None => training,
    };
    let scheduler = ConstantLr::new(rates.others);
    let learner = Learner::new(Classifier::<B>::new(&device), optimizer, scheduler);
    let model = training.launch(learner).model;
    let unseen = others().build(unseen).iter().next().expect("one batch");
    let results = model.step(unseen);
    let found = results.output.clone().argmax(1).flatten(0, 1);
    let accuracy = found.equal(results.targets).float().mean().into_scalar();
    (accuracy, results.output.into_data().iter().collect())
}

#[allow(dead_code, reason = "the tests call train")]
fn main() {
    let folder = std::env::temp_dir().join("switchlora-text-example");
    let epoch = std::env::args().nth(1);
    let resume = epoch.map(|epoch| epoch.parse().expect("the number of an epoch"));
    let results = [Method::Full, Method::SwitchLora].map(|method| {
        let (accuracy, _) = train(&folder.join(method.name()), method, 10, resume);
        format!("{method:10} accuracy {accuracy:.3}")
    });
    println!(
        "{}\ncheckpoints in {}",
        results.join("\n"),
        folder.display()
    );
}
