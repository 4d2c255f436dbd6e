//! SwitchLoRA in burn-train's ordinary `Learner`, with its stock strategy, checkpoints and metrics.
//!
//! `cargo run -p switchlora-core --example learner`
//!
//! A training that is stopped goes on as if it had not been: add `-- 2` to go on after the checkpoint of epoch 2. For that
//! model, optimizer and learning rate must be saved in full precision, as `DefaultRecorder` does; `CompactRecorder` rounds
//! the weights to f16. The optimizer's record is exact with any recorder.

use burn::backend::Autodiff;
use burn::data::dataloader::{DataLoaderBuilder, batcher::Batcher};
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::loss::{MseLoss, Reduction};
use burn::optim::lr_scheduler::constant::ConstantLr;
use burn::record::DefaultRecorder;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use burn::train::metric::LossMetric;
use burn::train::renderer::CliMetricsRenderer;
use burn::train::{
    InferenceStep, Learner, RegressionOutput, SupervisedTraining, TrainOutput, TrainStep,
};
use burn_flex::Flex;
use std::path::Path;
use switchlora_core::{ClipGradNorm, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule};

/// One adapted layer.
#[derive(Module, Debug)]
pub struct Model<B: Backend> {
    layer: SwitchLoraLinear<B>,
}

/// Angles, and their sine and cosine to be learned.
#[derive(Clone)]
struct Angles;

type Pairs<B> = (Tensor<B, 2>, Tensor<B, 2>);

impl<B: Backend> Batcher<B, f32, Pairs<B>> for Angles {
    fn batch(&self, angles: Vec<f32>, device: &B::Device) -> Pairs<B> {
        let rows = angles.len();
        let inputs = angles
            .iter()
            .flat_map(|a| (1..=12).map(move |k| (a * k as f32 / 3.0).sin()));
        let targets = angles
            .iter()
            .flat_map(|a| (1..=9).map(move |k| (a * k as f32 / 4.0).cos()));
        let tensor = |values: Vec<f32>, columns| {
            Tensor::from_data(TensorData::new(values, [rows, columns]), device)
        };
        (tensor(inputs.collect(), 12), tensor(targets.collect(), 9))
    }
}

impl<B: Backend> Model<B> {
    fn regress(&self, (x, y): Pairs<B>) -> RegressionOutput<B> {
        let output = self.layer.forward(x);
        let loss = MseLoss::new().forward(output.clone(), y.clone(), Reduction::Mean);
        RegressionOutput::new(loss, output, y)
    }
}

impl<B: AutodiffBackend> TrainStep for Model<B> {
    type Input = Pairs<B>;
    type Output = RegressionOutput<B>;

    fn step(&self, batch: Pairs<B>) -> TrainOutput<RegressionOutput<B>> {
        let output = self.regress(batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl<B: Backend> InferenceStep for Model<B> {
    type Input = Pairs<B>;
    type Output = RegressionOutput<B>;

    fn step(&self, batch: Pairs<B>) -> RegressionOutput<B> {
        self.regress(batch)
    }
}

/// The trained model's error, before and after, and its outputs.
#[derive(Debug)]
pub struct Trained {
    /// Error of the new model.
    pub before: f32,
    /// Error of the trained model.
    pub after: f32,
    /// Outputs of the trained model.
    pub outputs: Vec<f32>,
}

/// Trains for `epochs` epochs of three that are planned, keeping checkpoints in `folder`; goes on after the checkpoint of
/// the epoch `resume` in `folder`, if one is given.
pub fn train(folder: &Path, epochs: usize, resume: Option<usize>) -> Trained {
    type B = Autodiff<Flex>;
    let device = Default::default();
    B::seed(&device, 42);
    let angles =
        |from: usize| InMemDataset::new((from..from + 512).map(|k| k as f32 * 0.01).collect());
    let loader = |from| {
        DataLoaderBuilder::<B, _, _>::new(Angles)
            .batch_size(16)
            .build(angles(from))
    };
    let valid = DataLoaderBuilder::<Flex, _, _>::new(Angles)
        .batch_size(16)
        .build(angles(512));
    let schedule = SwitchSchedule::decaying(40.0, 0.1, 3 * 32);
    let method = SwitchLoraConfig::new(Some(3), schedule).expect("a valid method");
    let model = Model::<B> {
        layer: method.linear(12, 9).with_bias(true).init(&device),
    };
    let probe: Pairs<Flex> = Angles.batch(vec![0.3, 1.1, 2.5, 4.0], &device);
    let before = burn::module::AutodiffModule::valid(&model).regress(probe.clone());
    let optimizer = ClipGradNorm::new(1.0, method.optimizer());
    let training = SupervisedTraining::new(folder, loader(0), valid)
        .metric_train_numeric(LossMetric::new())
        .metric_valid_numeric(LossMetric::new())
        .with_file_checkpointer(DefaultRecorder::new())
        .with_application_logger(None)
        .renderer(CliMetricsRenderer::new())
        .num_epochs(epochs);
    let training = match resume {
        Some(epoch) => training.checkpoint(epoch),
        None => training,
    };
    let result = training.launch(Learner::new(model, optimizer, ConstantLr::new(1e-2)));
    let after = result.model.regress(probe);
    Trained {
        before: before.loss.into_scalar(),
        after: after.loss.into_scalar(),
        outputs: after.output.into_data().iter::<f32>().collect(),
    }
}

#[allow(dead_code, reason = "the tests call train")]
fn main() {
    let folder = std::env::temp_dir().join("switchlora-learner-example");
    // With a number, goes on after the checkpoint of that epoch.
    let epoch = std::env::args().nth(1);
    let resume = epoch.map(|epoch| epoch.parse().expect("the number of an epoch"));
    let trained = train(&folder, 3, resume);
    println!(
        "error {:.4} -> {:.4}; checkpoints in {}",
        trained.before,
        trained.after,
        folder.display()
    );
}
