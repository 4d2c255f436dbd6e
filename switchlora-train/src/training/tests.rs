use super::each::Places;
use super::sum::divided;
use super::*;
use crate::experiment::{Experiment, LearningRateSchedule, WarmStart};
use crate::model::{LlamaConfig, LlamaForCausalLm, export, import};
use burn::backend::Autodiff;
use burn::data::dataloader::DataLoader;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn::train::TrainStep;
use std::path::Path;

type TestBackend = Autodiff<burn_flex::Flex>;

const LENGTH: usize = 8;

/// A small experiment on `folder`, which gets its model and text.
fn experiment(folder: &Path) -> Experiment {
    let model = folder.join("config.json");
    let config = LlamaConfig {
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        max_position_embeddings: LENGTH,
        ..LlamaConfig::preset("tiny").unwrap()
    };
    std::fs::write(&model, serde_json::to_string(&config).unwrap()).unwrap();
    let text = folder.join("text.txt");
    let words = (0..4000).map(|i| format!("{} ", i * i % 97));
    std::fs::write(&text, words.collect::<String>()).unwrap();
    Experiment {
        model: model.display().to_string(),
        data: vec![text],
        steps: 12,
        batch_size: 2,
        sequence_length: LENGTH,
        ..Experiment::default()
    }
}

/// Weights by name, bit for bit.
fn weights(training: &Training<TestBackend>) -> Vec<(String, Vec<u32>)> {
    let tensors = export::<burn_flex::Flex, _>(&training.model().valid()).into_iter();
    let bits = |data: TensorData| data.iter::<f32>().map(f32::to_bits).collect();
    tensors.map(|(name, data)| (name, bits(data))).collect()
}

/// Losses bit for bit, and the weights after `updates` updates.
fn trained(
    setup: &Setup,
    text: &Text,
    updates: u64,
    observer: &mut dyn Observer<TestBackend>,
) -> (Vec<u64>, Vec<(String, Vec<u32>)>) {
    let device = Default::default();
    let mut training = Training::<TestBackend>::new(setup, &device).unwrap();
    let loader = text.train.loader(0..100, &device);
    let mut batches = loader.iter();
    let mut update = |_| {
        let update = training.update(&mut *batches, observer).unwrap();
        scalar(update.loss).to_bits()
    };
    let losses = (0..updates).map(&mut update).collect();
    (losses, weights(&training))
}

/// Waits for the device at each phase, and looks at the gradients.
#[derive(Default)]
struct Watch {
    phases: Vec<Phase>,
    seen: usize,
}

impl Observer<TestBackend> for Watch {
    fn phase(&mut self, phase: Phase) {
        TestBackend::sync(&Default::default()).unwrap();
        self.phases.push(phase);
    }

    fn gradients(
        &mut self,
        model: &LlamaForCausalLm<TestBackend>,
        gradients: GradientsParams,
    ) -> GradientsParams {
        let embedding = &model.model.embed_tokens.weight;
        let gradient = gradients.get::<burn_flex::Flex, 2>(embedding.id);
        self.seen += usize::from(gradient.is_some());
        gradients
    }
}

#[test]
fn an_observed_training_equals_one_that_is_not_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = Experiment {
        accumulation: 2,
        ..experiment(folder.path())
    };
    let setup = Setup::new(experiment, None).unwrap();
    let text = Text::read(&setup, packed).unwrap();
    let mut watch = Watch::default();
    let observed = trained(&setup, &text, 4, &mut watch);
    assert_eq!(observed, trained(&setup, &text, 4, &mut ()));
    let update = [
        Phase::Forward,
        Phase::Backward,
        Phase::Forward,
        Phase::Backward,
        Phase::Exchange,
        Phase::Optimizer,
    ];
    assert_eq!((watch.phases, watch.seen), (update.repeat(4), 4));
}

#[test]
fn an_update_is_burn_trains_steps_averaged_clipped_and_guarded() {
    let folder = tempfile::tempdir().unwrap();
    for accumulation in [1, 2] {
        let experiment = Experiment {
            accumulation,
            ..experiment(folder.path())
        };
        let setup = Setup::new(experiment, None).unwrap();
        let text = Text::read(&setup, packed).unwrap();
        let device = Default::default();
        let training = Training::<TestBackend>::new(&setup, &device).unwrap();
        let (mut model, mut optimizer) = (training.model().clone(), training.optimizer().clone());
        let schedule = LearningRateSchedule::of(&setup.experiment);
        let loader = text.train.loader(0..100, &device);
        let mut batches = loader.iter();
        let mut expected = Vec::new();
        for update in 0..3 {
            let (mut sum, mut losses) = (GradientsAccumulator::new(), Vec::new());
            for _ in 0..accumulation {
                let output = TrainStep::step(&model, batches.next().unwrap());
                sum.accumulate(&model, output.grads);
                losses.push(output.item.loss);
            }
            let loss = Tensor::cat(losses, 0).mean();
            expected.push(scalar(loss.clone()).to_bits());
            let places = Places {
                module: &model,
                factors: &[],
            };
            let gradients = divided::<TestBackend, _>(sum.grads(), &places, accumulation);
            model = optimizer.step_with_loss(schedule.rate(update), model, gradients, loss);
        }
        let by_hand = Training::from_parts(model, optimizer, |_| 0.0, accumulation);
        let found = trained(&setup, &text, 3, &mut ());
        assert_eq!(found, (expected, weights(&by_hand)));
    }
}

#[test]
fn an_evaluation_of_no_sequences_is_one_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let evaluated = |eval_sequences| {
        let experiment = Experiment {
            eval_sequences,
            ..experiment(folder.path())
        };
        let setup = Setup::new(experiment, None).unwrap();
        let text = Text::read(&setup, packed).unwrap();
        let device = Default::default();
        let training = Training::<TestBackend>::new(&setup, &device).unwrap();
        let loader = text.validation.loader(&device);
        let mut losses = 0;
        let each = |_| losses += 1;
        let count = text.validation.count() as usize;
        let loss = training.evaluate(loader.iter(), count, each).unwrap();
        let expected = evaluate(&training.model().valid(), &text.validation, &device);
        assert_eq!(loss, Some(expected.unwrap()));
        assert_eq!(losses, count);
        let stopped = loader.iter().take(count - 1);
        let none = training.evaluate(stopped, count, |_| ()).unwrap();
        assert_eq!(none, None);
        (text.validation.sequences(), loss.unwrap())
    };
    let (all, loss) = evaluated(0);
    assert!(all > 3);
    assert_eq!((all, loss), evaluated(i64::MAX as u64));
    assert_eq!(evaluated(3).0, 3);
}

/// Replaces every gradient by ones.
struct Ones;

impl Observer<TestBackend> for Ones {
    fn gradients(
        &mut self,
        model: &LlamaForCausalLm<TestBackend>,
        gradients: GradientsParams,
    ) -> GradientsParams {
        let mut ones = Replace(gradients);
        model.visit(&mut ones);
        ones.0
    }
}

struct Replace(GradientsParams);

impl ModuleVisitor<TestBackend> for Replace {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<TestBackend, D>>) {
        if let Some(gradient) = self.0.remove::<burn_flex::Flex, D>(param.id) {
            self.0.register(param.id, gradient.ones_like());
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_is_refused_though_the_gradients_are() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(experiment(folder.path()), None).unwrap();
    let text = Text::read(&setup, packed).unwrap();
    let device = Default::default();
    for broken in [false, true] {
        let start = Training::<TestBackend>::new(&setup, &device).unwrap();
        let mut model = start.model().clone();
        if broken {
            let mut tensors = export::<TestBackend, _>(&model);
            let norm = tensors.get_mut("model.norm.weight").unwrap();
            *norm = TensorData::new(vec![f32::INFINITY; 16], [16]);
            model = import::<TestBackend, _>(model, tensors).unwrap();
        }
        let optimizer = start.optimizer().clone();
        let mut training = Training::from_parts(model, optimizer, |_| 1e-3, 1);
        let before = weights(&training);
        let loader = text.train.loader(0..1, &device);
        let update = training.update(&mut *loader.iter(), &mut Ones).unwrap();
        assert_eq!(scalar(update.loss).is_finite(), !broken);
        assert!(update.grad_norm.unwrap().get().is_finite());
        assert_eq!(training.optimizer().skipped(), u64::from(broken));
        assert_eq!(weights(&training) == before, broken);
    }
}

#[test]
fn too_few_batches_change_nothing_also_where_the_method_was_to_begin() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = Experiment {
        accumulation: 2,
        warm_start: Some(WarmStart::Updates(1)),
        ..experiment(folder.path())
    };
    let setup = Setup::new(experiment, None).unwrap();
    let text = Text::read(&setup, packed).unwrap();
    let device = Default::default();
    let mut training = Training::<TestBackend>::new(&setup, &device).unwrap();
    let loader = text.train.loader(0..3, &device);
    let mut batches = loader.iter();
    let first = training.update(&mut *batches, &mut ()).unwrap();
    let (before, missing) = (weights(&training), Err(UpdateError::OutOfBatches(2)));
    let ended = training.update(&mut *batches, &mut ());
    assert_eq!(ended.map(|update| update.step), missing);
    assert_eq!(weights(&training), before);
    let loader = text.train.loader(2..4, &device);
    let second = training.update(&mut *loader.iter(), &mut ()).unwrap();
    assert_eq!((first.method_began, second.method_began), (false, true));
    assert_eq!(
        (second.step, second.batches, second.tokens),
        (2, (2, 3), 32)
    );
    assert!(weights(&training).len() > before.len());
}
