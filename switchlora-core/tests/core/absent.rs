//! What is missing for an update, or is refused, leaves nothing stale.

use burn::backend::Autodiff;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use switchlora_core::{
    ClipGradNorm, Method, MethodConfig, MethodOptimizer, MuonConfig, PoolPlacement, PoolPrecision,
    Sides, StateError, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule, Weights,
};

type B = Autodiff<Flex>;

#[derive(Module, Debug)]
struct Pair<B: Backend> {
    one: Linear<B>,
    two: Linear<B>,
}

fn pair() -> Pair<B> {
    let layer = || LinearConfig::new(8, 8).init(&Default::default());
    let (one, two) = (layer(), layer());
    Pair { one, two }
}

impl Pair<B> {
    fn gradients(&self) -> (Tensor<Flex, 1>, GradientsParams) {
        let x = Tensor::<B, 2>::random([5, 8], Distribution::Default, &Default::default());
        let loss = self.two.forward(self.one.forward(x)).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), self);
        (loss.inner(), gradients)
    }
}

#[test]
fn a_weight_that_is_replaced_gets_a_projection_of_its_own() {
    let galore = MethodConfig::new(Method::GaLore, 16, SwitchSchedule::Never).unwrap();
    let optimizer: MethodOptimizer<Pair<B>, B> = galore.optimizer();
    let mut optimizer = optimizer.on_weights(Weights::linear(2));
    let mut model = pair();
    for round in 0..4 {
        if round == 2 {
            model.two = pair().two;
        }
        let (_, gradients) = model.gradients();
        model = optimizer.step(0.01, model, gradients);
    }
    assert!(optimizer.try_prepare(&model).is_ok());
}

#[test]
fn a_parameter_whose_first_update_was_refused_is_as_new_also_in_a_record() {
    for method in [Method::Full, Method::SwitchLora] {
        let method = MethodConfig::new(method, 2, SwitchSchedule::fixed(10.0)).unwrap();
        let new = || {
            let optimizer: MethodOptimizer<Pair<B>, B> = method.optimizer();
            let optimizer = optimizer.on_weights(Weights::linear(2));
            ClipGradNorm::new(1.0, optimizer).with_decision_on_device(true)
        };
        let (mut optimizer, model) = (new(), pair());
        let (loss, gradients) = model.gradients();
        let model = optimizer.step_with_loss(0.01, model, gradients, loss * f32::NAN);
        let record = Optimizer::<Pair<B>, B>::to_record(&optimizer);
        let (loss, gradients) = model.gradients();
        let resumed = new().load_record(record);
        let both = [optimizer, resumed].map(|mut optimizer| {
            let model = model.clone();
            // The same ids in both.
            let gradients = copied(&model, &gradients);
            let model = optimizer.step_with_loss(0.01, model, gradients, loss.clone());
            model.one.weight.to_data()
        });
        assert_eq!(both[0], both[1]);
        assert_ne!(both[0], model.one.weight.to_data());
    }
}

/// The gradients of a model without biases' own: what two optimizers get alike.
fn copied(model: &Pair<B>, gradients: &GradientsParams) -> GradientsParams {
    let mut copy = GradientsParams::new();
    for layer in [&model.one, &model.two] {
        let id = layer.weight.id;
        copy.register::<Flex, 2>(id, gradients.get::<Flex, 2>(id).unwrap());
    }
    copy
}

#[test]
fn a_loss_that_is_no_number_refuses_an_update_without_gradients_too() {
    let method = MethodConfig::new(Method::Full, 2, SwitchSchedule::Never).unwrap();
    let optimizer: MethodOptimizer<Pair<B>, B> = method.optimizer();
    let mut optimizer = ClipGradNorm::new(1.0, optimizer);
    let mut model = pair();
    for (loss, skipped) in [(f32::NAN, 1), (1.0, 1), (f32::INFINITY, 2)] {
        let loss = Tensor::from_data([loss], &Default::default());
        model = optimizer.step_with_loss(0.01, model, GradientsParams::new(), loss);
        assert_eq!(optimizer.skipped(), skipped);
    }
}

/// SwitchLoRA that switches a vector of A in every update.
fn switching() -> SwitchLoraConfig {
    let mut method = SwitchLoraConfig::new(Some(4), SwitchSchedule::Never).unwrap();
    (method.freeze, method.sides) = (1, Sides::A);
    method.schedule = SwitchSchedule::fixed(4.0);
    method
}

/// The same with orthogonal steps.
fn orthogonal() -> SwitchLoraConfig {
    let orthogonal = Some(MuonConfig::default());
    SwitchLoraConfig {
        orthogonal,
        ..switching()
    }
}

fn inputs(seed: usize) -> Tensor<B, 2> {
    let values = (0..40).map(|i| ((i * 7 + seed * 13) % 11) as f32 / 5.0 - 1.0);
    Tensor::<B, 1>::from_floats(&values.collect::<Vec<_>>()[..], &Default::default())
        .reshape([5, 8])
}

type Optim = MethodOptimizer<SwitchLoraLinear<B>, B>;

fn step(optimizer: &mut Optim, layer: SwitchLoraLinear<B>, seed: usize) -> SwitchLoraLinear<B> {
    let loss = layer.forward(inputs(seed)).square().mean();
    let gradients = GradientsParams::from_grads(loss.backward(), &layer);
    optimizer.step(0.01, layer, gradients)
}

fn rows(matrix: Vec<f32>, width: usize, rows: &[usize]) -> Vec<f32> {
    let row = |&row: &usize| matrix[row * width..(row + 1) * width].to_vec();
    rows.iter().flat_map(row).collect()
}

#[test]
fn a_velocity_is_reset_by_a_switch_without_gradient_and_where_second_moments_stay() {
    let method = orthogonal();
    let (mut optimizer, mut layer): (Optim, _) = (
        method.optimizer(),
        method.linear(8, 12).init(&Default::default()),
    );
    for seed in 0..4 {
        layer = step(&mut optimizer, layer, seed);
    }
    layer = optimizer.step(0.01, layer, GradientsParams::new());
    let switched = optimizer.last_switches()[0].a.rows.clone();
    assert!(!switched.is_empty());
    let record = Optimizer::<SwitchLoraLinear<B>, B>::to_record(&optimizer);
    let b = layer.lora_b.as_ref().unwrap().id.serialize();
    let velocity: Vec<f32> = record.velocities[&b].iter().collect();
    assert!(velocity.iter().any(|value| *value != 0.0));
    let stale = rows(velocity, 12, &switched);
    assert!(stale.iter().all(|value| *value == 0.0), "{stale:?}");

    let start: SwitchLoraLinear<B> = method.linear(8, 12).init(&Default::default());
    let ends = [false, true].map(|keep_second_moments| {
        let method = SwitchLoraConfig {
            keep_second_moments,
            ..orthogonal()
        };
        let (mut optimizer, mut layer): (Optim, _) = (method.optimizer(), start.clone());
        for seed in 0..6 {
            layer = step(&mut optimizer, layer, seed);
        }
        layer.effective_weight().to_data()
    });
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn a_frozen_row_does_not_decay_where_steps_are_orthogonal() {
    let mut method = orthogonal();
    method.adamw.weight_decay = 0.5;
    let (mut optimizer, mut layer): (Optim, _) = (
        method.optimizer(),
        method.linear(8, 12).init(&Default::default()),
    );
    let b = |layer: &SwitchLoraLinear<B>| -> Vec<f32> {
        layer.lora_b.as_ref().unwrap().to_data().iter().collect()
    };
    for seed in 0..6 {
        let before = b(&layer);
        layer = step(&mut optimizer, layer, seed);
        let switched = &optimizer.last_switches()[0].a.rows;
        assert!(!switched.is_empty());
        let [was, is] = [before.clone(), b(&layer)].map(|all| rows(all, 12, switched));
        assert_eq!(was, is);
        assert_ne!(before, b(&layer));
    }
}

#[test]
fn candidates_in_bf16_need_a_device_that_has_it_or_host_memory() {
    type A = Autodiff<burn_ndarray::NdArray>;
    let train = |pools: PoolPlacement| {
        let mut method = switching();
        (method.pools, method.pool_precision) = (pools, PoolPrecision::Bf16);
        let mut layer: SwitchLoraLinear<A> = method.linear(8, 12).init(&Default::default());
        let mut optimizer: MethodOptimizer<SwitchLoraLinear<A>, A> = method.optimizer();
        optimizer.try_prepare(&layer)?;
        for _ in 0..8 {
            let x = Tensor::<A, 2>::ones([3, 8], &Default::default());
            let gradients = layer.forward(x).square().mean().backward();
            let gradients = GradientsParams::from_grads(gradients, &layer);
            layer = optimizer.step(0.01, layer, gradients);
        }
        Ok::<usize, StateError>(optimizer.last_switch_count())
    };
    let refused = train(PoolPlacement::Device).unwrap_err().to_string();
    assert!(refused.contains("ndarray has no bf16"), "{refused}");
    assert!(train(PoolPlacement::Host).unwrap() > 0);
}

#[test]
fn a_named_weight_that_another_module_has_too_is_refused_with_both_names() {
    let mut model = pair();
    model.two.weight = model.one.weight.clone();
    let method = MethodConfig::new(Method::Lora, 2, SwitchSchedule::Never).unwrap();
    let optimizer: MethodOptimizer<Pair<B>, B> = method.optimizer();
    // The rule names one of them.
    let rule = |path: &str, _: &[usize]| (path == "two.weight").then_some(2);
    let refused = optimizer
        .on_weights(Weights::matching(rule))
        .try_prepare(&model);
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("one") && text.contains("two") && text.contains("share"),
        "{text}"
    );
}
