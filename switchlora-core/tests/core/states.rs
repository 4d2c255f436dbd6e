//! The state of an optimizer belongs to parameters: it is taken up by those, refused by others, and never stale.

use burn::backend::Autodiff;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use switchlora_core::init::uniform;
use switchlora_core::{
    AdamWConfig, GaLoreConfig, Method, MethodConfig, MethodOptimizer, MuonConfig, OptimizerRecord,
    Purpose, StateError, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule, stream,
};

type B = Autodiff<Flex>;

#[derive(Module, Debug)]
struct Model<B: Backend> {
    up: SwitchLoraLinear<B>,
    down: SwitchLoraLinear<B>,
}

#[derive(Module, Debug)]
struct Other<B: Backend> {
    up: SwitchLoraLinear<B>,
    gate: SwitchLoraLinear<B>,
}

type Optim = MethodOptimizer<Model<B>, B>;

/// Switches at every update.
fn method(rank: usize) -> SwitchLoraConfig {
    let mut method = SwitchLoraConfig::new(Some(rank), SwitchSchedule::Never).unwrap();
    (method.freeze, method.schedule) = (1, SwitchSchedule::fixed(2.0));
    method
}

fn draw(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Tensor<B, 2> {
    Tensor::from_data(uniform(rows, columns, 1.3, random), &Default::default())
}

fn layer(method: &SwitchLoraConfig, n: usize, m: usize, seed: u64) -> SwitchLoraLinear<B> {
    let random = &mut stream(seed, Purpose::Weights, 0, 0);
    let weight = Param::from_tensor(draw(n, m, random));
    let linear = burn::nn::Linear { weight, bias: None };
    method.linear(n, m).adapt_from(linear, random)
}

/// `width -> hidden -> width`.
fn model(method: &SwitchLoraConfig, width: usize, hidden: usize, seed: u64) -> Model<B> {
    Model {
        up: layer(method, width, hidden, seed),
        down: layer(method, hidden, width, seed + 1),
    }
}

fn gradients(model: &Model<B>, random: &mut ChaCha8Rng) -> GradientsParams {
    let width = model.up.weight.dims()[0];
    let x = draw(6, width, random);
    let output = model.down.forward(model.up.forward(x));
    GradientsParams::from_grads(output.square().mean().backward(), model)
}

fn step(optimizer: &mut Optim, model: Model<B>, random: &mut ChaCha8Rng) -> Model<B> {
    let gradients = gradients(&model, random);
    optimizer.step(0.01, model, gradients)
}

fn bits(module: &impl Module<B>) -> Vec<(ParamId, Vec<u32>)> {
    struct All(Vec<(ParamId, Vec<u32>)>);
    impl ModuleVisitor<B> for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let bits = param.to_data().iter::<f32>().map(f32::to_bits).collect();
            self.0.push((param.id, bits));
        }
    }
    let mut all = All(Vec::new());
    module.visit(&mut all);
    all.0
}

fn trained(method: &SwitchLoraConfig) -> (Optim, Model<B>) {
    let random = &mut stream(3, Purpose::Draw, 0, 0);
    let (mut optimizer, mut model): (Optim, _) = (method.optimizer(), model(method, 8, 12, 1));
    for _ in 0..4 {
        model = step(&mut optimizer, model, random);
    }
    (optimizer, model)
}

fn record(optimizer: &Optim) -> OptimizerRecord {
    Optimizer::<Model<B>, B>::to_record(optimizer)
}

/// The message of the panic of `work`.
fn refusal<T>(work: impl FnOnce() -> T) -> String {
    let Err(reason) = catch_unwind(AssertUnwindSafe(work)) else {
        panic!("nothing was refused");
    };
    match reason.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => panic!("a panic without a message of ours"),
    }
}

#[test]
fn new_parameters_under_the_same_paths_start_fresh_as_with_burns_optimizers() {
    for (width, hidden) in [(8, 12), (6, 7)] {
        let method = method(4);
        let (mut used, _) = trained(&method);
        let fresh = OptimizerRecord {
            updates: 4,
            ..OptimizerRecord::default()
        };
        let mut fresh: Optim = method.optimizer().load_record(fresh);
        let [mut left, mut right] = [0, 1].map(|_| model(&method, width, hidden, 7));
        for update in 0..4 {
            let random = &mut stream(update, Purpose::Draw, 0, 0);
            left = step(&mut used, left, random);
            let random = &mut stream(update, Purpose::Draw, 0, 0);
            right = step(&mut fresh, right, random);
            let values = |model: &Model<B>| bits(model).into_iter().map(|(_, bits)| bits);
            assert!(values(&left).eq(values(&right)), "update {update}");
            let remarks = used.remarks().join("\n");
            assert_eq!(remarks.contains("2 of 2 layers"), update == 0, "{remarks}");
        }
    }
}

#[test]
fn a_layer_that_is_replaced_starts_fresh_and_the_others_go_on() {
    let method = method(4);
    let (mut optimizer, mut model) = trained(&method);
    let before = optimizer.layer_states()[0].clone();
    model.down = layer(&method, 12, 8, 20);
    optimizer.prepare(&model);
    assert_eq!(optimizer.layer_states()[0], before);
    let random = &mut stream(4, Purpose::Draw, 0, 0);
    let moved = step(&mut optimizer, model, random);
    assert!(
        optimizer.remarks()[0].contains("layer down"),
        "{:?}",
        optimizer.remarks()
    );
    let counts = |layer: &SwitchLoraLinear<B>| {
        let id = layer.lora_a.as_ref().unwrap().id.serialize();
        record(&optimizer).moments[&id].counts.clone()
    };
    assert!(counts(&moved.up).iter().any(|&count| count > 1));
    assert!(counts(&moved.down).iter().all(|&count| count == 1));
}

#[test]
fn a_loaded_state_of_other_layers_or_sizes_is_refused_by_the_name_of_the_layer() {
    let method = method(4);
    let saved = record(&trained(&method).0);
    let load = || -> Optim { self::method(4).optimizer().load_record(saved.clone()) };
    let narrow = load()
        .try_prepare(&model(&method, 8, 10, 1))
        .unwrap_err()
        .to_string();
    assert!(
        narrow.contains("layer up") && narrow.contains("12") && narrow.contains("10"),
        "{narrow}"
    );
    let ranked = load()
        .try_prepare(&model(&self::method(5), 8, 12, 1))
        .unwrap_err()
        .to_string();
    assert!(
        ranked.contains("rank 4") && ranked.contains("rank 5"),
        "{ranked}"
    );
    let other = Other {
        up: layer(&method, 8, 12, 1),
        gate: layer(&method, 12, 8, 2),
    };
    let mut optimizer: MethodOptimizer<Other<B>, B> = method.optimizer().load_record(saved.clone());
    let found = optimizer.try_prepare(&other).unwrap_err();
    assert_eq!(
        found,
        StateError::NotInState {
            path: "gate".into()
        }
    );
    let mut optimizer: MethodOptimizer<SwitchLoraLinear<B>, B> =
        method.optimizer().load_record(saved.clone());
    assert!(optimizer.try_prepare(&other.up).is_err());
    // And an update says the same.
    let text = refusal(|| load().step(0.1, model(&method, 8, 10, 1), GradientsParams::new()));
    assert_eq!(text, narrow);
    // After the refusal the state is there for the model that it was saved for.
    let mut optimizer = load();
    assert!(optimizer.try_prepare(&model(&method, 8, 10, 1)).is_err());
    assert_eq!(record(&optimizer), saved);
    optimizer.prepare(&model(&method, 8, 12, 1));
    assert_eq!(record(&optimizer).layers, saved.layers);
}

#[test]
fn moments_without_their_parameters_are_remarked_and_those_of_another_shape_refused() {
    let method = method(4);
    let (optimizer, trained) = trained(&method);
    let saved = record(&optimizer);
    let mut resumed: Optim = method.optimizer().load_record(saved.clone());
    let random = &mut stream(4, Purpose::Draw, 0, 0);
    step(&mut resumed, model(&method, 8, 12, 1), random);
    let remarks = resumed.remarks().join("\n");
    assert!(remarks.contains("4 of the 4 parameters"), "{remarks}");
    // The same ids, another width.
    let a = trained.up.lora_a.as_ref().unwrap().id;
    let mut narrow = model(&method, 6, 12, 1);
    narrow.up.lora_a = narrow
        .up
        .lora_a
        .map(|a_now| Param::initialized(a, a_now.val()));
    let never = SwitchLoraConfig {
        schedule: SwitchSchedule::Never,
        ..method
    };
    let only_moments = OptimizerRecord {
        layers: Vec::new(),
        ..saved
    };
    let mut optimizer: Optim = never.optimizer().load_record(only_moments);
    let text = refusal(|| step(&mut optimizer, narrow, random));
    assert!(
        text.contains("up.lora_a") && text.contains("[4, 8]") && text.contains("[4, 6]"),
        "{text}"
    );
}

#[test]
fn a_state_saved_while_nothing_switched_gets_candidates_when_something_does() {
    let switching = method(4);
    let never = SwitchLoraConfig {
        schedule: SwitchSchedule::Never,
        ..switching.clone()
    };
    let (optimizer, mut model) = trained(&never);
    let mut optimizer: Optim = switching.optimizer().load_record(record(&optimizer));
    let random = &mut stream(5, Purpose::Draw, 0, 0);
    let x = draw(3, 8, random);
    let before = model.up.forward(x.clone());
    let pools = |optimizer: &Optim| record(optimizer).layers[0].candidates_a.clone();
    optimizer.prepare(&model);
    let drawn = pools(&optimizer).expect("candidates");
    model = optimizer.step(0.1, model, GradientsParams::new());
    assert!(optimizer.last_switch_count() > 0);
    assert_ne!(pools(&optimizer), Some(drawn));
    let off = (before - model.up.forward(x)).abs().max().into_scalar();
    assert!(off < 1e-4, "{off}");
}

#[test]
fn a_state_of_galore_at_another_rank_is_refused() {
    let plain = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
    let model = model(&plain, 8, 12, 1);
    let random = &mut stream(3, Purpose::Draw, 0, 0);
    let mut optimizer: Optim = GaLoreConfig::new(2).unwrap().optimizer();
    let model = step(&mut optimizer, model, random);
    let mut other: Optim = GaLoreConfig::new(3)
        .unwrap()
        .optimizer()
        .load_record(record(&optimizer));
    let text = other.try_prepare(&model).unwrap_err().to_string();
    assert!(
        text.contains("[2, 12]") && text.contains("[3, 12]"),
        "{text}"
    );
}

#[test]
fn velocities_of_another_shape_are_refused_by_the_name_of_the_layer() {
    let random = &mut stream(3, Purpose::Draw, 0, 0);
    let plain = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
    let orthogonal = SwitchLoraConfig {
        orthogonal: Some(MuonConfig::default()),
        ..method(4)
    };
    let muon = MuonConfig::default();
    let new: [(&SwitchLoraConfig, &dyn Fn() -> Optim); 2] = [
        (&plain, &|| muon.optimizer(AdamWConfig::default())),
        (&orthogonal, &|| orthogonal.optimizer()),
    ];
    for (layers, new) in new {
        let mut optimizer = new();
        let model = step(&mut optimizer, model(layers, 8, 12, 1), random);
        let mut saved = record(&optimizer);
        assert!(!saved.velocities.is_empty());
        assert!(new().load_record(saved.clone()).try_prepare(&model).is_ok());
        for velocity in saved.velocities.values_mut() {
            *velocity = TensorData::zeros::<f32, _>([3, 5]);
        }
        let refused = new().load_record(saved).try_prepare(&model);
        let text = refused.unwrap_err().to_string();
        assert!(
            text.contains("[3, 5]") && text.contains("layer up"),
            "{text}"
        );
    }
}

#[test]
fn layers_that_share_a_parameter_are_refused_by_name() {
    let method = method(4);
    let up = layer(&method, 8, 8, 1);
    let tied = Model {
        up: up.clone(),
        down: up,
    };
    let text = refusal(|| {
        method
            .optimizer::<_, B>()
            .step(0.1, tied, GradientsParams::new())
    });
    assert!(text.contains("layer up and layer down share"), "{text}");
}

#[test]
fn a_damaged_state_is_refused_before_anything_is_made_of_it() {
    let method = method(4);
    let (optimizer, model) = trained(&method);
    let saved = record(&optimizer);
    let refused = |damage: &dyn Fn(&mut OptimizerRecord)| {
        let mut record = saved.clone();
        damage(&mut record);
        let mut optimizer: Optim = method.optimizer().load_record(record);
        optimizer.try_prepare(&model).unwrap_err().to_string()
    };
    type Damage = (&'static str, fn(&mut OptimizerRecord));
    let damages: [Damage; 7] = [
        ("no id", |record| {
            let moments = record.moments.pop_first().unwrap().1;
            record
                .moments
                .insert("no id of Burn, and a long one".into(), moments);
        }),
        ("shape [32]", |record| {
            let moments = record.moments.values_mut().next().unwrap();
            moments.first.shape = [32].into();
        }),
        ("bytes", |record| {
            record.layers[0].candidates_a.as_mut().unwrap().shape[0] = 1 << 40
        }),
        ("a pool of 1 vectors", |record| {
            let pool = record.layers[0].candidates_a.as_mut().unwrap();
            let length = pool.shape[1];
            let first: Vec<f32> = pool.iter::<f32>().take(length).collect();
            *pool = TensorData::new(first, [1, length]);
        }),
        ("the other has none", |record| {
            record.layers[0].candidates_b = None
        }),
        ("spare vectors", |record| record.layers[1].state.a.row = 4),
        ("spare vectors", |record| {
            _ = record.layers[0].state.b.spare.pop()
        }),
    ];
    for (expected, damage) in damages {
        let found = refused(&damage);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn a_switch_leaves_the_output_alone_on_a_backend_of_f64() {
    type B64 = Autodiff<burn_ndarray::NdArray<f64>>;
    let device = Default::default();
    let mut layer: SwitchLoraLinear<B64> = method(4).linear(8, 12).with_alpha(3.0).init(&device);
    let mut optimizer = method(4).optimizer();
    let x = Tensor::<B64, 2>::ones([2, 8], &device);
    let before = layer.forward(x.clone());
    for _ in 0..6 {
        layer = optimizer.step(0.1, layer, GradientsParams::new());
    }
    assert!(optimizer.last_switch_count() > 0);
    let off = (before - layer.forward(x)).abs().max().into_scalar();
    assert!(off < 1e-5, "{off}");
}

#[test]
fn bf16_is_refused_by_a_backend_that_has_none() {
    let mut method = method(4);
    method.frozen = switchlora_core::Precision::Bf16;
    let device = Default::default();
    let text = refusal(|| method.linear(8, 12).init::<burn_ndarray::NdArray>(&device));
    assert!(text.contains("BF16"), "{text}");
}

#[test]
fn a_layer_that_is_not_trained_is_left_as_it_is_to_the_last_bit() {
    let method = method(4);
    let relora = MethodConfig::new(Method::ReLora, 4, SwitchSchedule::Never).unwrap();
    let restarts: Optim = switchlora_core::ReLoraConfig::new(1)
        .unwrap()
        .optimizer(&relora.layers);
    for mut optimizer in [method.optimizer(), restarts] {
        let mut model = model(&method, 8, 12, 1);
        model.down = model.down.no_grad();
        let (frozen, moving) = (bits(&model.down), bits(&model.up));
        let random = &mut stream(3, Purpose::Draw, 0, 0);
        for update in 0..4 {
            model = step(&mut optimizer, model, random);
            let remarks = optimizer.remarks().join("\n");
            assert_eq!(remarks.contains("1 of 2 layers"), update == 0, "{remarks}");
        }
        assert_eq!(bits(&model.down), frozen);
        assert!(
            bits(&model.up)
                .iter()
                .zip(&moving)
                .all(|(now, before)| now != before)
        );
    }
}

#[test]
fn missing_gradients_leave_their_parameters_to_the_switch_alone() {
    let method = method(4);
    let random = &mut stream(3, Purpose::Draw, 0, 0);
    let mut model = model(&method, 8, 12, 1);
    let mut optimizer: Optim = method.optimizer();
    let x = draw(3, 12, random);
    let before = model.down.forward(x.clone());
    for _ in 0..6 {
        // Only A of one layer.
        let loss = model.up.forward(draw(4, 8, random)).square().mean();
        let mut gradients = GradientsParams::from_grads(loss.backward(), &model);
        gradients.remove::<Flex, 2>(model.up.lora_b.as_ref().unwrap().id);
        model = optimizer.step(0.01, model, gradients);
    }
    let off = (before - model.down.forward(x)).abs().max().into_scalar();
    assert!(off < 1e-4, "{off}");
    assert_eq!(record(&optimizer).moments.len(), 1);
    let all = bits(&model);
    assert!(
        all.iter()
            .flat_map(|(_, bits)| bits)
            .all(|&bits| f32::from_bits(bits).is_finite())
    );
}

#[test]
fn what_does_not_do_what_its_configuration_suggests_is_remarked_once() {
    let first = |mut optimizer: Optim, model: Model<B>| {
        let model = optimizer.step(0.0, model, GradientsParams::new());
        let remarks = optimizer.remarks().join("\n");
        optimizer.step(0.0, model, GradientsParams::new());
        assert!(optimizer.remarks().is_empty());
        remarks
    };
    let plain = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
    let (none, four) = (|| model(&plain, 8, 12, 1), || model(&method(4), 8, 12, 1));
    assert!(first(method(4).optimizer(), none()).contains("no layer with factors"));
    assert!(first(plain.optimizer(), four()).contains("2 layers have factors"));
    assert!(
        first(GaLoreConfig::new(2).unwrap().optimizer(), four()).contains("2 layers have factors")
    );
    let muon = MuonConfig::default().optimizer(AdamWConfig::default());
    assert!(first(muon, four()).contains("2 layers have factors"));
    let one = first(method(1).optimizer(), model(&method(1), 8, 12, 1));
    assert!(
        one.contains("layer up (and 1 more) never switches"),
        "{one}"
    );
    assert_eq!(first(method(4).optimizer(), four()), "");
    assert_eq!(first(plain.optimizer(), none()), "");
    // A training of an earlier version goes on at a rank that is refused today.
    let never = SwitchLoraConfig {
        schedule: SwitchSchedule::Never,
        ..method(8)
    };
    let (optimizer, model) = trained(&never);
    let resumed = method(8).optimizer().load_record(record(&optimizer));
    assert!(first(resumed, model).contains("never switches: its rank"));
}

#[test]
fn a_rank_of_the_shorter_side_is_refused_by_the_name_and_the_limit_of_the_layer() {
    let text = refusal(|| {
        let model = model(&method(8), 8, 12, 1);
        method(8)
            .optimizer::<_, B>()
            .step(0.1, model, GradientsParams::new())
    });
    assert!(
        text.contains("rank is 8, expected 1 to 7: layer up maps 8 inputs to 12"),
        "{text}"
    );
    // LoRA and ReLoRA compute what they should at any rank.
    for method in [Method::Lora, Method::ReLora] {
        let config = MethodConfig::new(method, 40, SwitchSchedule::Never).unwrap();
        let mut optimizer: Optim = config.optimizer();
        let random = &mut stream(3, Purpose::Draw, 0, 0);
        step(&mut optimizer, model(&config.layers, 8, 12, 1), random);
        assert!(optimizer.remarks().is_empty());
    }
}

#[test]
fn a_learning_rate_that_is_no_number_is_refused_and_0_moves_nothing() {
    let method = method(4);
    for rate in [f64::NAN, f64::INFINITY, 1e300] {
        let text = refusal(|| {
            method
                .optimizer::<_, B>()
                .step(rate, model(&method, 8, 12, 1), GradientsParams::new())
        });
        assert!(text.contains("learning rate"), "{text}");
    }
    let never = SwitchLoraConfig {
        schedule: SwitchSchedule::Never,
        ..method
    };
    let (mut optimizer, model): (Optim, _) = (never.optimizer(), model(&never, 8, 12, 1));
    let (before, random) = (bits(&model), &mut stream(3, Purpose::Draw, 0, 0));
    let gradients = gradients(&model, random);
    assert_eq!(bits(&optimizer.step(0.0, model, gradients)), before);
}
