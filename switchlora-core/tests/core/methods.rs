//! The laws that ReLoRA, GaLore, Muon and the variants of SwitchLoRA obey, for every way to decide about an update.

use super::bits::parameters;
use burn::backend::Autodiff;
use burn::module::Param;
use burn::nn::Linear;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use switchlora_core::init::uniform;
use switchlora_core::replay::Recorded;
use switchlora_core::{
    Candidates, ClipGradNorm, Method, MethodConfig, MethodOptimizer, MomentReset, MuonConfig,
    OptimizerRecord, Purpose, ReLoraConfig, Selection, Spectrum, SwitchLoraLinear, SwitchSchedule,
    stream,
};

type B = Autodiff<Flex>;
type Layer = SwitchLoraLinear<B>;
type Optimized = ClipGradNorm<MethodOptimizer<Layer, B>>;

/// One layer, trained by one of them.
#[derive(Clone, Debug)]
struct Case {
    d_input: usize,
    d_output: usize,
    rank: usize,
    method: MethodConfig,
    on_device: bool,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let reset = prop_oneof![
        Just(MomentReset::Zero),
        Just(MomentReset::Random),
        Just(MomentReset::Magnitude)
    ];
    let kind = prop_oneof![
        Just(Method::GaLore),
        Just(Method::ReLora),
        Just(Method::Muon),
        Just(Method::SwitchLora)
    ];
    let shape = (2usize..14, 2usize..14, 1usize..5, 1u64..5);
    let flags = (kind, any::<bool>(), any::<bool>(), any::<u64>());
    (shape, flags, reset, variant()).prop_map(
        |((d_input, d_output, rank, every), (kind, on_device, flag, seed), reset, variant)| {
            let rank = match kind.switches() {
                true => rank.min(d_input.min(d_output) - 1),
                false => rank,
            };
            let mut method = of(kind, rank);
            if kind.switches() {
                let layers = &mut method.layers;
                (layers.freeze, layers.schedule) = (1, SwitchSchedule::fixed(2.0));
                (layers.selection, layers.candidates, layers.warmup) = variant;
                if every > 2 {
                    layers.orthogonal = Some(MuonConfig::default());
                    // What goes by moments means nothing then.
                    layers.warmup = 0;
                    if layers.selection == Selection::Gain {
                        layers.selection = Selection::Contiguous;
                    }
                    if layers.candidates == Candidates::Gradient {
                        layers.candidates = Candidates::Fresh;
                    }
                }
                layers.keep_second_moments = flag && layers.warmup == 0;
            }
            method.layer_rate = if flag { 3.0 } else { 1.0 };
            method.layers.adamw.decay_matrices_only = flag;
            method.layers.adamw.weight_decay = if on_device { 0.1 } else { 0.0 };
            method.galore.gap = every;
            method.galore.adamw.weight_decay = if flag { 0.1 } else { 0.0 };
            method.relora = ReLoraConfig::new(every).unwrap();
            let relora = &mut method.relora;
            (relora.reset, relora.keep, relora.reset_counts) = (reset, 0.3, flag);
            method.layers.seed = seed;
            Case {
                d_input,
                d_output,
                rank,
                method,
                on_device,
                seed,
            }
        },
    )
}

/// Which rows a switch exchanges, where the vectors come from, and the warmup that follows.
fn variant() -> impl Strategy<Value = (Selection, Candidates, u32)> {
    let selection = prop_oneof![Just(Selection::Contiguous), Just(Selection::Gain)];
    let candidates = (0..Candidates::ALL.len()).prop_map(|which| Candidates::ALL[which]);
    (selection, candidates, 0u32..4)
}

/// The method with its defaults.
fn of(method: Method, rank: usize) -> MethodConfig {
    MethodConfig::new(method, rank, SwitchSchedule::Never).unwrap()
}

impl Case {
    fn random(&self) -> ChaCha8Rng {
        stream(self.seed, Purpose::Weights, 0, 0)
    }

    fn start(&self) -> (Layer, Optimized, ChaCha8Rng) {
        let mut random = self.random();
        let linear = Linear {
            weight: Param::from_tensor(input(self.d_input, self.d_output, &mut random)),
            bias: Some(Param::from_tensor(
                input(1, self.d_output, &mut random).reshape([self.d_output]),
            )),
        };
        let layer = self.method.layers.linear(self.d_input, self.d_output);
        let layer = layer.adapt_from(linear, &mut random);
        let optimizer = self.method.optimizer();
        let optimizer = ClipGradNorm::new(1.0, optimizer).with_decision_on_device(self.on_device);
        (layer, optimizer, random)
    }
}

fn input(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Tensor<B, 2> {
    Tensor::from_data(uniform(rows, columns, 1.7, random), &Default::default())
}

fn gradients(layer: &Layer, random: &mut ChaCha8Rng) -> GradientsParams {
    let [n, m] = layer.weight.dims();
    let error = layer.forward(input(8, n, random)) - input(8, m, random);
    GradientsParams::from_grads(error.square().sum().backward(), layer)
}

fn record(optimizer: &Optimized) -> OptimizerRecord {
    Optimizer::<Layer, B>::to_record(optimizer).0
}

fn values<const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_saved_and_loaded_state_goes_on_bit_for_bit(case in case(), updates in 1usize..8) {
        let (mut layer, mut optimizer, mut random) = case.start();
        for _ in 0..updates {
            let gradients = gradients(&layer, &mut random);
            layer = optimizer.step(0.01, layer, gradients);
        }
        let saved = Optimizer::<Layer, B>::to_record(&optimizer);
        let (_, empty, _) = case.start();
        let mut resumed = empty.load_record(saved.clone());
        prop_assert_eq!(&saved, &Optimizer::<Layer, B>::to_record(&resumed));
        let mut twin = layer.clone();
        let mut again = random.clone();
        for _ in 0..7 {
            layer = { let g = gradients(&layer, &mut random); optimizer.step(0.01, layer, g) };
            twin = { let g = gradients(&twin, &mut again); resumed.step(0.01, twin, g) };
        }
        prop_assert_eq!(parameters(&layer), parameters(&twin));
        prop_assert_eq!(record(&optimizer), record(&resumed));
    }

    #[test]
    fn an_update_that_is_not_finite_leaves_everything_as_it_was(
        case in case(), updates in 1usize..8, only_the_loss: bool,
    ) {
        let (mut layer, mut optimizer, mut random) = case.start();
        for _ in 0..updates {
            layer = { let g = gradients(&layer, &mut random); optimizer.step(0.01, layer, g) };
        }
        let before = (parameters(&layer), record(&optimizer));
        let factor = if only_the_loss { 1.0 } else { f32::NAN };
        let loss = (layer.forward(input(4, case.d_input, &mut random)) * factor).sum();
        let poisoned = GradientsParams::from_grads(loss.backward(), &layer);
        layer = optimizer.step_with_loss(0.01, layer, poisoned, (loss * f32::NAN).inner());
        prop_assert_eq!(optimizer.skipped(), 1);
        prop_assert_eq!(&before.0, &parameters(&layer));
        prop_assert_eq!(&before.1, &record(&optimizer));
        // And it goes on.
        layer = { let g = gradients(&layer, &mut random); optimizer.step(0.01, layer, g) };
        prop_assert_eq!(record(&optimizer).updates, before.1.updates + 1);
        prop_assert_ne!(&before.0, &parameters(&layer));
    }

    #[test]
    fn decisions_on_the_device_give_the_same_run(case in case()) {
        let run = |on_device| {
            let case = Case { on_device, ..case.clone() };
            let (mut layer, optimizer, mut random) = case.start();
            // Without clipping: its factor is computed in other numbers on the device.
            let mut optimizer = ClipGradNorm::new(f64::INFINITY, optimizer.inner().clone())
                .with_decision_on_device(on_device);
            for _ in 0..9 {
                layer = { let g = gradients(&layer, &mut random); optimizer.step(0.01, layer, g) };
            }
            parameters(&layer)
        };
        prop_assert_eq!(run(false), run(true));
    }

    #[test]
    fn layers_move_by_their_own_learning_rate_and_everything_else_by_the_other(case in case(), factor in 0.1..9.0f64) {
        // Whatever does not depend on the learning rate, such as a switch, happens in all three.
        let step = |rate: f64, factor: f64| {
            let mut case = case.clone();
            case.method.layer_rate = factor;
            let (mut layer, mut optimizer, mut random) = case.start();
            let gradients = gradients(&layer, &mut random);
            layer = optimizer.step(rate, layer, gradients);
            let factors = [&layer.lora_a, &layer.lora_b].map(|side| side.as_ref().map(|side| values(side.val())));
            (values(layer.weight.val()), factors, values(layer.bias.as_ref().unwrap().val()))
        };
        let (groups, layers, others) = (step(0.01, factor), step(0.01 * factor, 1.0), step(0.01, 1.0));
        prop_assert_eq!((&groups.0, &groups.1), (&layers.0, &layers.1));
        prop_assert_eq!(&groups.2, &others.2);
        prop_assert_ne!((&groups.0, &groups.1), (&others.0, &others.1));
    }

    #[test]
    fn vectors_do_not_decay_where_only_matrices_do(case in case()) {
        let bias = |decay: f64, only: bool| {
            let mut case = case.clone();
            for adamw in [&mut case.method.layers.adamw, &mut case.method.galore.adamw] {
                (adamw.weight_decay, adamw.decay_matrices_only) = (decay, only);
            }
            let (mut layer, mut optimizer, mut random) = case.start();
            let gradients = gradients(&layer, &mut random);
            layer = optimizer.step(0.01, layer, gradients);
            (values(layer.bias.as_ref().unwrap().val()), parameters(&layer))
        };
        let (none, all, matrices) = (bias(0.0, false), bias(0.5, false), bias(0.5, true));
        prop_assert_eq!(&none.0, &matrices.0);
        prop_assert_ne!(&none.0, &all.0);
        prop_assert_ne!(&none.1, &matrices.1);
    }

    #[test]
    fn a_restart_changes_no_output_but_by_rounding_and_leaves_b_zero(case in case()) {
        let config = case.method.relora;
        if case.method.method != Method::ReLora {
            return Ok(());
        }
        let (mut layer, mut optimizer, mut random) = case.start();
        let x = input(5, case.d_input, &mut random);
        for update in 0..3 * config.cycle + 1 {
            let restarts = config.restarts_after(update);
            // At the rate of zero that belongs to a restart, the restart is all that happens.
            let rate = if restarts { 0.0 } else { 0.05 };
            let before = values(layer.forward(x.clone()));
            let a = values(layer.lora_a.as_ref().unwrap().val());
            layer = { let g = gradients(&layer, &mut random); optimizer.step(rate, layer, g) };
            let b = values(layer.lora_b.as_ref().unwrap().val());
            prop_assert_eq!(restarts, b.iter().all(|v| *v == 0.0));
            if restarts {
                let scale = before.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                let after = values(layer.forward(x.clone()));
                // One sum of at most 14 products is rounded otherwise.
                prop_assert!(before.iter().zip(&after).all(|(b, a)| (b - a).abs() < 1e-5 * scale));
                prop_assert_ne!(a, values(layer.lora_a.as_ref().unwrap().val()));
            }
        }
    }

    #[test]
    fn between_two_projections_a_weight_changes_in_as_many_directions_as_the_projection_has(case in case()) {
        let mut case = case;
        if case.method.method != Method::GaLore {
            return Ok(());
        }
        (case.method.galore.gap, case.method.galore.adamw.weight_decay) = (20, 0.0);
        let (mut layer, mut optimizer, mut random) = case.start();
        let start = layer.weight.val();
        for _ in 0..6 {
            layer = { let g = gradients(&layer, &mut random); optimizer.step(0.05, layer, g) };
        }
        let change = (layer.weight.val() - start).into_data();
        let spectrum = Spectrum::of(&change).unwrap();
        let short = case.d_input.min(case.d_output);
        // Six roundings of an f32 weight of size one, beside changes of about a hundredth.
        prop_assert!(spectrum.count_above(1e-3) <= case.rank.min(short));
        prop_assert!(spectrum.values()[0] > 0.0);
        let record = record(&optimizer);
        prop_assert_eq!(record.projections.len(), usize::from(case.rank < short));
    }
}

/// GaLore with recorded projections.
fn replay(method: &MethodConfig, refreshes: Vec<BTreeMap<String, TensorData>>) -> Optimized {
    let recorded = Recorded {
        projections: Some(Arc::new(refreshes)),
        ..Recorded::default()
    };
    ClipGradNorm::new(1.0, method.replay(recorded))
}

fn projection(rank: usize, length: usize, fill: f32) -> TensorData {
    let mut values = vec![0.0f32; rank * length];
    for row in 0..rank {
        values[row * length + row] = fill;
    }
    TensorData::new(values, [rank, length])
}

#[test]
fn a_projection_that_is_not_finite_leaves_the_old_one_and_is_counted_and_the_training_goes_on() {
    let mut method = of(Method::GaLore, 2);
    method.galore.gap = 3;
    let case = Case {
        d_input: 6,
        d_output: 9,
        rank: 2,
        method: method.clone(),
        on_device: false,
        seed: 5,
    };
    let (mut layer, _, mut random) = case.start();
    let of = |fill| BTreeMap::from([(String::new(), projection(2, 6, fill))]);
    let refreshes = vec![of(1.0), of(f32::NAN), of(0.5)];
    let mut optimizer = replay(&method, refreshes);
    let mut failures = Vec::new();
    for _ in 0..9 {
        let before = values(layer.weight.val());
        layer = {
            let g = gradients(&layer, &mut random);
            optimizer.step(0.01, layer, g)
        };
        let after = values(layer.weight.val());
        assert_ne!(before, after);
        assert!(after.iter().all(|value| value.is_finite()));
        failures.push(optimizer.inner().remarks().len());
    }
    assert_eq!(failures, [0, 0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(record(&optimizer).failed_projections, 1);
}

#[test]
fn a_weight_without_any_projection_waits_for_one_while_the_rest_is_trained() {
    let method = of(Method::GaLore, 2);
    let case = Case {
        d_input: 6,
        d_output: 9,
        rank: 2,
        method: method.clone(),
        on_device: false,
        seed: 6,
    };
    let (mut layer, _, mut random) = case.start();
    let mut optimizer = replay(&method, Vec::new());
    let weight = values(layer.weight.val());
    let bias = values(layer.bias.as_ref().unwrap().val());
    for update in 1..4 {
        layer = {
            let g = gradients(&layer, &mut random);
            optimizer.step(0.01, layer, g)
        };
        assert_eq!(record(&optimizer).failed_projections, update);
    }
    assert_eq!(weight, values(layer.weight.val()));
    assert_ne!(bias, values(layer.bias.as_ref().unwrap().val()));
}
