//! The method on plain weights is the method on layers: the same losses and factors, and a weight that is their sum.

use super::bits::parameters;
use burn::backend::Autodiff;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, LinearLayout};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use burn::tensor::backend::Backend;
use burn_flex::Flex;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use switchlora_core::init::uniform;
use switchlora_core::{
    ClipGradNorm, LoraLayer, Method, MethodConfig, MethodOptimizer, MuonConfig, OptimizerRecord,
    Purpose, ReLoraConfig, StateError, SwitchLoraLinear, SwitchSchedule, Weights, stream,
};

type B = Autodiff<Flex>;

const SIZES: [[usize; 2]; 3] = [[9, 14], [14, 6], [6, 4]];

/// Three linear layers of Burn's; the last one is the output layer.
#[derive(Module, Debug)]
struct Plain<B: Backend> {
    up: Linear<B>,
    down: Linear<B>,
    output: Linear<B>,
}

/// The same with layers that have factors.
#[derive(Module, Debug)]
struct Layered<B: Backend> {
    up: SwitchLoraLinear<B>,
    down: SwitchLoraLinear<B>,
    output: Linear<B>,
}

trait Model: Module<B> + burn::module::AutodiffModule<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2>;
}

impl Model for Plain<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let hidden = self.down.forward(gelu(self.up.forward(x)));
        self.output.forward(gelu(hidden))
    }
}

impl Model for Layered<B> {
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let hidden = self.down.forward(gelu(self.up.forward(x)));
        self.output.forward(gelu(hidden))
    }
}

type PlainOptimizer = ClipGradNorm<MethodOptimizer<Plain<B>, B>>;

fn draw<B: Backend>(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Tensor<B, 2> {
    Tensor::from_data(uniform(rows, columns, 0.8, random), &Default::default())
}

fn plain_model(seed: u64) -> Plain<B> {
    let random = &mut stream(seed, Purpose::Weights, 0, 0);
    let [up, down, output] = SIZES.map(|[n, m]| Linear {
        weight: Param::from_tensor(draw(n, m, random)),
        bias: Some(Param::from_tensor(draw(1, m, random).reshape([m]))),
    });
    Plain { up, down, output }
}

/// One training.
#[derive(Clone, Debug)]
struct Case {
    method: MethodConfig,
    rank: usize,
    on_device: bool,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        4 => Just(Method::SwitchLora),
        1 => Just(Method::Lora),
        1 => Just(Method::ReLora)
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<u64>());
    (kind, 1usize..5, flags).prop_map(|(kind, rank, (on_device, flag, decay, seed))| {
        let mut method = MethodConfig::new(kind, rank, SwitchSchedule::Never).unwrap();
        let layers = &mut method.layers;
        if kind.switches() {
            (layers.freeze, layers.schedule) = (2, SwitchSchedule::fixed(4.0));
            layers.orthogonal = (flag && decay).then(MuonConfig::default);
        }
        (layers.seed, layers.alpha) = (seed, if flag { 2.0 } else { 1.0 });
        layers.adamw.weight_decay = if decay { 0.1 } else { 0.0 };
        // A step of a tiny gradient is as long as any other, so that rounding decides about it.
        layers.adamw.epsilon = 1e-3;
        method.galore.adamw.epsilon = 1e-3;
        method.relora = ReLoraConfig::new(5).unwrap();
        method.layer_rate = if flag { 3.0 } else { 1.0 };
        Case {
            method,
            rank,
            on_device,
            seed,
        }
    })
}

impl Case {
    fn start(&self) -> (Plain<B>, PlainOptimizer) {
        let optimizer = self
            .method
            .optimizer()
            .on_weights(Weights::linear(self.rank));
        let optimizer = ClipGradNorm::new(1.0, optimizer).with_decision_on_device(self.on_device);
        (plain_model(self.seed), optimizer)
    }

    /// Learns a random map. Gives the losses.
    fn train<M: Model>(
        &self,
        mut model: M,
        optimizer: &mut ClipGradNorm<MethodOptimizer<M, B>>,
        updates: std::ops::Range<u64>,
    ) -> (M, Vec<f32>) {
        let mut losses = Vec::new();
        for update in updates {
            let random = &mut stream(self.seed, Purpose::Draw, 7, update);
            let x = draw::<B>(16, SIZES[0][0], random);
            let y = draw::<B>(
                16,
                SIZES[2][1],
                &mut stream(self.seed, Purpose::Draw, 8, update),
            );
            let loss = (model.forward(x) - y).square().mean();
            losses.push(loss.clone().into_scalar());
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(1e-2, model, gradients);
        }
        (model, losses)
    }
}

/// The model with layers that starts with these factors.
fn layered(model: &Plain<B>, held: &[LoraLayer<Flex>]) -> Layered<B> {
    let layer = |linear: &Linear<B>, held: &LoraLayer<Flex>| {
        let tensor = |t: &Tensor<Flex, 2>| Tensor::<B, 2>::from_inner(t.clone());
        SwitchLoraLinear {
            weight: Param::initialized(ParamId::new(), tensor(&frozen(held)))
                .set_require_grad(false),
            lora_a: Some(Param::from_tensor(tensor(&held.a.value))),
            lora_b: Some(Param::from_tensor(tensor(&held.b.value))),
            bias: linear.bias.clone(),
            scale: held.scale,
            precision: Default::default(),
        }
    };
    Layered {
        up: layer(&model.up, &held[0]),
        down: layer(&model.down, &held[1]),
        output: model.output.clone(),
    }
}

/// `P - s AᵀB`, which is the weight of the layer.
fn frozen(held: &LoraLayer<Flex>) -> Tensor<Flex, 2> {
    let product = held
        .a
        .value
        .clone()
        .transpose()
        .matmul(held.b.value.clone());
    held.weight.value.clone() - product * held.scale
}

fn distance(a: Tensor<Flex, 2>, b: Tensor<Flex, 2>) -> f32 {
    (a - b).abs().max().into_scalar()
}

fn bits(matrix: Tensor<Flex, 2>) -> Vec<u32> {
    matrix.into_data().iter::<f32>().map(f32::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn plain_weights_and_layers_are_trained_alike(case in case()) {
        let (model, mut optimizer) = case.start();
        let held = optimizer.inner_mut().held_layers(&model).unwrap();
        prop_assert_eq!(held.len(), 2);
        let start = layered(&model, &held);
        let mut of_layers = ClipGradNorm::new(1.0, case.method.optimizer())
            .with_decision_on_device(case.on_device);
        let (model, losses) = case.train(model, &mut optimizer, 0..30);
        let (expected, expected_losses) = case.train(start, &mut of_layers, 0..30);
        for (loss, expected) in losses.iter().zip(&expected_losses) {
            prop_assert!((loss - expected).abs() < 2e-4 * expected, "{} is not {}", loss, expected);
        }
        prop_assert_eq!(optimizer.inner().layer_states(), of_layers.inner().layer_states());
        let held = optimizer.inner_mut().held_layers(&model).unwrap();
        for (held, layer) in held.iter().zip(switchlora_core::lora_layers(&expected)) {
            let inner = Tensor::<B, 2>::inner;
            prop_assert!(distance(held.a.value.clone(), inner(layer.a.value)) < 1e-3);
            prop_assert!(distance(held.b.value.clone(), inner(layer.b.value)) < 1e-3);
            prop_assert!(distance(frozen(held), inner(layer.weight.value)) < 1e-3);
        }
    }

    #[test]
    fn a_switch_and_a_restart_write_no_weight(case in case()) {
        let (model, mut optimizer) = case.start();
        let (model, _) = case.train(model, &mut optimizer, 0..7);
        let before = parameters(&model);
        let mut factors = optimizer.inner_mut().held_layers(&model).unwrap();
        let mut model = model;
        for update in 7..14 {
            let x = draw::<B>(16, SIZES[0][0], &mut stream(case.seed, Purpose::Draw, 7, update));
            let gradients = model.forward(x).square().mean().backward();
            let gradients = GradientsParams::from_grads(gradients, &model);
            model = optimizer.step(0.0, model, gradients);
            prop_assert_eq!(parameters(&model), before.clone());
            let now = optimizer.inner_mut().held_layers(&model).unwrap();
            let moved = factors.iter().zip(&now).any(|(before, now)| {
                bits(before.a.value.clone()) != bits(now.a.value.clone())
            });
            let switched = optimizer.inner().last_switch_count() > 0;
            let restarted = case.method.method == Method::ReLora && update % 5 == 0;
            prop_assert_eq!(moved, switched || restarted, "update {}", update);
            factors = now;
        }
    }

    #[test]
    fn a_refused_update_changes_nothing_and_the_next_one_is_as_if_it_had_not_been(case in case()) {
        let run = |refused: bool| {
            let (model, mut optimizer) = case.start();
            let (mut model, _) = case.train(model, &mut optimizer, 0..6);
            if refused {
                let x = draw::<B>(3, SIZES[0][0], &mut stream(1, Purpose::Draw, 1, 1)) * f32::INFINITY;
                let gradients = model.forward(x).mean().backward();
                let gradients = GradientsParams::from_grads(gradients, &model);
                model = optimizer.step(1e-2, model, gradients);
                assert_eq!(optimizer.skipped(), 1);
            }
            let (model, losses) = case.train(model, &mut optimizer, 6..14);
            (parameters(&model), losses)
        };
        prop_assert_eq!(run(true), run(false));
    }

    #[test]
    fn a_training_that_is_resumed_from_its_records_goes_on_bit_for_bit(case in case()) {
        let (model, mut optimizer) = case.start();
        let (model, _) = case.train(model, &mut optimizer, 0..7);
        let record = optimizer.to_record();
        let (expected, losses) = case.train(model.clone(), &mut optimizer, 7..15);
        let (fresh, other) = case.start();
        let resumed = fresh.load_record(model.into_record());
        let mut other = other.load_record(record);
        let (resumed, again) = case.train(resumed, &mut other, 7..15);
        prop_assert_eq!(losses, again);
        prop_assert_eq!(parameters(&resumed), parameters(&expected));
        let paths = |record: OptimizerRecord| record.factors.into_iter().map(|f| f.path).collect::<Vec<_>>();
        prop_assert_eq!(paths(other.to_record().0), ["up", "down"]);
    }

    #[test]
    fn projected_gradients_may_be_added_up(case in case()) {
        let train = |apart: bool| {
            let (mut model, mut optimizer) = case.start();
            for update in 0..6 {
                let random = &mut stream(case.seed, Purpose::Draw, 7, update);
                let x = draw::<B>(16, SIZES[0][0], random);
                let loss = model.forward(x).square().mean();
                let mut gradients = GradientsParams::from_grads(loss.backward(), &model);
                if apart {
                    gradients = optimizer.inner_mut().project(&model, gradients);
                    // Twice is once.
                    gradients = optimizer.inner_mut().project(&model, gradients);
                }
                model = optimizer.step(1e-2, model, gradients);
            }
            parameters(&model)
        };
        prop_assert_eq!(train(true), train(false));
    }

    #[test]
    fn a_projected_gradient_and_one_as_it_came_are_added_up(case in case()) {
        let train = |project: bool| {
            let (mut model, mut optimizer) = case.start();
            for update in 0..6 {
                let part = |model: &Plain<B>, purpose| {
                    let random = &mut stream(case.seed, purpose, 7, update);
                    let x = draw::<B>(16, SIZES[0][0], random);
                    let loss = model.forward(x).square().mean();
                    GradientsParams::from_grads(loss.backward(), model)
                };
                let [mut first, second] = [Purpose::Draw, Purpose::Weights].map(|purpose| part(&model, purpose));
                let mut gradients = second;
                if project && update > 0 {
                    // Added to the projected ones of the first part by the update itself.
                    first = optimizer.inner().project(&model, first);
                    for id in optimizer.inner().factor_ids() {
                        let gradient = first.remove::<Flex, 2>(id).unwrap();
                        gradients.register(id, gradient);
                    }
                }
                add(&model, &mut first, &mut gradients);
                model = optimizer.step(1e-2, model, gradients);
            }
            model
        };
        let [a, b] = [train(true), train(false)];
        let apart = [(&a.up, &b.up), (&a.down, &b.down)].map(|(a, b)| {
            distance(a.weight.val().inner(), b.weight.val().inner())
        });
        // AdamW divides roundings of small gradients by their own size.
        prop_assert!(apart.iter().all(|&apart| apart < 1e-2), "{apart:?}");
    }
}

/// Adds what is left of the gradients `from` to those `to`.
fn add(model: &Plain<B>, from: &mut GradientsParams, to: &mut GradientsParams) {
    struct Add<'a>([&'a mut GradientsParams; 2]);
    impl ModuleVisitor<B> for Add<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let Self([from, to]) = self;
            let Some(gradient) = from.remove::<Flex, D>(param.id) else {
                return;
            };
            let sum = match to.remove::<Flex, D>(param.id) {
                Some(other) => other + gradient,
                None => gradient,
            };
            to.register(param.id, sum);
        }
    }
    model.visit(&mut Add([from, to]));
}

#[test]
fn frozen_counterparts_move_nothing() {
    let mut method = MethodConfig::new(Method::SwitchLora, 3, SwitchSchedule::fixed(10.0)).unwrap();
    method.layers.freeze = 4;
    let case = Case {
        method,
        rank: 3,
        on_device: false,
        seed: 3,
    };
    let (mut model, mut optimizer) = case.start();
    let mut frozen_rows = 0;
    for update in 0..24 {
        let before = optimizer.inner_mut().held_layers(&model).unwrap();
        (model, _) = case.train(model, &mut optimizer, update..update + 1);
        let after = optimizer.inner_mut().held_layers(&model).unwrap();
        let states = optimizer.inner().layer_states();
        for ((before, after), (_, state)) in before.iter().zip(&after).zip(states) {
            // Frozen for at least one more update: also in this one. What was switched in it did not move by AdamW.
            let rows = (0..3).filter(|&row| state.b.frozen[row] > 0);
            let switched = &optimizer.inner().last_switches();
            let switched = switched.iter().find(|s| s.path == before.path).unwrap();
            for row in rows.filter(|row| !switched.b.rows.contains(row)) {
                let row_of = |layer: &LoraLayer<Flex>| layer.b.value.clone().narrow(0, row, 1);
                assert_eq!(
                    bits(row_of(before)),
                    bits(row_of(after)),
                    "update {update}, row {row}"
                );
                frozen_rows += 1;
            }
        }
    }
    assert!(frozen_rows > 10, "{frozen_rows}");
}

#[test]
fn the_frozen_weight_that_nobody_holds_drifts_by_rounding_alone() {
    let method = MethodConfig::new(Method::Lora, 3, SwitchSchedule::Never).unwrap();
    let case = Case {
        method,
        rank: 3,
        on_device: false,
        seed: 11,
    };
    let (mut model, mut optimizer) = case.start();
    let start = optimizer.inner_mut().held_layers(&model).unwrap();
    let start: Vec<_> = start.iter().map(frozen).collect();
    let mut updates = 0;
    // The weights and their changes are about 1, whose last bit is 6e-8: without LoRA's switches the frozen weight is what it
    // was, and each update may round it once.
    for (until, most) in [(60, 2e-6), (10_000, 3e-5)] {
        (model, _) = case.train(model, &mut optimizer, updates..until);
        updates = until;
        let held = optimizer.inner_mut().held_layers(&model).unwrap();
        for (held, start) in held.iter().zip(&start) {
            let drift = distance(frozen(held), start.clone());
            println!("{}: {drift:e} after {until} updates", held.path);
            assert!(drift < most, "{}: {drift:e} after {until}", held.path);
        }
    }
}

/// Two convolutions and an output layer.
#[derive(Module, Debug)]
struct Network<B: Backend> {
    first: Conv2d<B>,
    second: Conv2d<B>,
    output: Linear<B>,
}

fn network() -> Network<B> {
    let device = Default::default();
    Network {
        first: Conv2dConfig::new([1, 6], [3, 3]).init(&device),
        second: Conv2dConfig::new([6, 5], [3, 3]).init(&device),
        output: LinearConfig::new(5, 2)
            .with_layout(LinearLayout::Col)
            .init(&device),
    }
}

impl Network<B> {
    fn loss(&self, seed: u64) -> Tensor<B, 1> {
        let images = draw::<B>(4, 64, &mut stream(seed, Purpose::Draw, 1, 1)).reshape([4, 1, 8, 8]);
        let features = gelu(self.second.forward(gelu(self.first.forward(images))));
        self.output
            .forward(features.mean_dim(3).mean_dim(2).reshape([4, 5]))
            .square()
            .mean()
    }
}

#[test]
fn convolutions_and_transposed_linear_layers_are_trained_by_every_method_that_a_rule_names() {
    for method in Method::ALL {
        let method = MethodConfig::new(method, 2, SwitchSchedule::fixed(10.0)).unwrap();
        let rule = |path: &str, shape: &[usize]| match (path, shape) {
            ("second.weight", [5, 6, 3, 3]) => Some(3),
            ("output.weight", [5, 2]) => Some(1),
            ("first.weight", [6, 1, 3, 3]) => None,
            other => panic!("{other:?} is not a matrix of the network"),
        };
        let mut model = network();
        let optimizer = method.optimizer().on_weights(Weights::matching(rule));
        let mut optimizer = ClipGradNorm::new(1.0, optimizer);
        let held = optimizer.inner_mut().held_layers(&model).unwrap();
        let shapes: Vec<_> = held
            .iter()
            .map(|layer| (layer.path.as_str(), layer.shape(), layer.rank()))
            .collect();
        match method.method.freezes() {
            true => assert_eq!(shapes, [("second", [54, 5], 3), ("output", [5, 2], 1)]),
            false => assert_eq!(shapes, []),
        }
        let frozen_before: Vec<_> = held.iter().map(frozen).collect();
        let first = model.loss(0).into_scalar();
        for _ in 0..40 {
            let gradients = GradientsParams::from_grads(model.loss(0).backward(), &model);
            model = optimizer.step(1e-2, model, gradients);
        }
        let last = model.loss(0).into_scalar();
        assert!(last < 0.7 * first, "{}: {first} to {last}", method.method);
        if method.method == Method::Lora {
            let held = optimizer.inner_mut().held_layers(&model).unwrap();
            for (held, before) in held.iter().zip(frozen_before) {
                assert!(distance(frozen(held), before) < 1e-5);
            }
        }
    }
}

#[test]
fn a_rule_that_cannot_be_followed_is_an_error_that_says_what_to_do() {
    let method = MethodConfig::new(Method::Lora, 2, SwitchSchedule::Never).unwrap();
    let error = |weights: Weights| {
        let mut optimizer: MethodOptimizer<Plain<B>, B> = method.optimizer().on_weights(weights);
        optimizer
            .try_prepare(&plain_model(1))
            .unwrap_err()
            .to_string()
    };
    let nothing = error(Weights::matching(|_, _| None));
    assert!(
        nothing.contains("names none of the 3 matrices"),
        "{nothing}"
    );
    let narrow = error(Weights::linear(9));
    assert!(narrow.contains("at rank 9 names none"), "{narrow}");
    let zero = error(Weights::matching(|_, _| Some(0)));
    assert!(zero.contains("rank is 0"), "{zero}");
    let above = error(Weights::matching(|path, _| {
        (path == "down.weight").then_some(7)
    }));
    assert!(
        above.contains("rank 7 of layer down is above the shorter side"),
        "{above}"
    );
    let method = MethodConfig::new(Method::SwitchLora, 2, SwitchSchedule::fixed(20.0)).unwrap();
    let all = Weights::matching(|path, _| (path == "down.weight").then_some(6));
    let mut optimizer: MethodOptimizer<Plain<B>, B> = method.optimizer().on_weights(all);
    let full = optimizer
        .try_prepare(&plain_model(1))
        .unwrap_err()
        .to_string();
    assert!(full.contains("no vector is left"), "{full}");
}

#[test]
fn a_record_of_one_form_is_refused_by_the_other_with_what_to_do() {
    let method = MethodConfig::new(Method::SwitchLora, 2, SwitchSchedule::fixed(20.0)).unwrap();
    let model = plain_model(1);
    let mut plain: MethodOptimizer<Plain<B>, B> = method.optimizer().on_weights(Weights::linear(2));
    let held = plain.held_layers(&model).unwrap();
    let model_with_layers = layered(&model, &held);
    let mut of_layers: MethodOptimizer<Layered<B>, B> = method.optimizer();
    of_layers.prepare(&model_with_layers);
    let [plain_record, layer_record] = [plain.to_record(), of_layers.to_record()];
    let mut wrong = of_layers.load_record(plain_record.clone());
    let error = wrong.try_prepare(&model_with_layers).unwrap_err();
    assert!(matches!(error, StateError::Form { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("name the weights with on_weights"),
        "{error}"
    );
    let mut wrong = plain.load_record(layer_record);
    let error = wrong.try_prepare(&model).unwrap_err().to_string();
    assert!(error.contains("without on_weights"), "{error}");
    // Other weights, or another rank, than when it was saved.
    let error = |weights: Weights| {
        let optimizer: MethodOptimizer<Plain<B>, B> = method.optimizer().on_weights(weights);
        optimizer
            .load_record(plain_record.clone())
            .try_prepare(&model)
            .unwrap_err()
            .to_string()
    };
    let more = error(Weights::matching(|_, _| Some(2)));
    assert!(
        more.contains("layer output") && more.contains("has none for it"),
        "{more}"
    );
    let fewer = error(Weights::matching(|path, _| {
        (path == "up.weight").then_some(2)
    }));
    assert!(
        fewer.contains("has layer down and the module has not"),
        "{fewer}"
    );
    let rank = error(Weights::linear(3));
    assert!(rank.contains("factors of rank 2"), "{rank}");
}

#[test]
fn new_weights_start_fresh_and_the_named_ones_are_told_once() {
    let method = MethodConfig::new(Method::SwitchLora, 2, SwitchSchedule::fixed(10.0)).unwrap();
    let case = Case {
        method,
        rank: 2,
        on_device: false,
        seed: 5,
    };
    let (model, mut optimizer) = case.start();
    let (model, _) = case.train(model, &mut optimizer, 0..1);
    let said = optimizer.inner().remarks();
    assert!(
        said.iter()
            .any(|r| r.contains("names 2 of the module, from up to down, at rank 2")),
        "{said:?}"
    );
    let (model, _) = case.train(model, &mut optimizer, 1..3);
    assert!(
        optimizer.inner().remarks().is_empty(),
        "{:?}",
        optimizer.inner().remarks()
    );
    struct Renew;
    impl ModuleMapper<B> for Renew {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let (_, tensor, mapper) = param.consume();
            Param::from_mapped_value(ParamId::new(), tensor, mapper)
        }
    }
    let before = optimizer.inner_mut().held_layers(&model).unwrap();
    let renewed = model.map(&mut Renew);
    let (renewed, _) = case.train(renewed, &mut optimizer, 3..4);
    let after = optimizer.inner_mut().held_layers(&renewed).unwrap();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before.a.id != after.a.id)
    );
}
