//! The laws a switch obeys, on random shapes, for every selection, pool and way to decide.

use super::bits::parameters;
use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Param};
use burn::nn::Linear;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::Flex;
use burn_ndarray::NdArray;
use half::bf16;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use switchlora_core::init::uniform;
use switchlora_core::{
    ClipGradNorm, MethodOptimizer, OptimizerRecord, PoolPlacement, PoolPrecision, Purpose,
    Selection, Sides, SwitchLoraConfig, SwitchLoraLinear, SwitchSchedule, stream,
};

type B = Autodiff<Flex>;
type Method<B> = ClipGradNorm<MethodOptimizer<SwitchLoraLinear<B>, B>>;

/// One layer, one way to train it.
#[derive(Clone, Debug)]
struct Case {
    d_input: usize,
    d_output: usize,
    rank: usize,
    bias: bool,
    selection: Selection,
    sides: Sides,
    pools: PoolPlacement,
    pool_precision: PoolPrecision,
    decide_on_device: bool,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let rank = prop_oneof![Just(1usize), 2usize..6, Just(7)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    // Both sides are the method; one alone is an ablation.
    let sides = prop_oneof![4 => Just(Sides::Both), 1 => Just(Sides::A), 1 => Just(Sides::B)];
    let pools = (0usize..3).prop_map(|held| PoolPrecision::ALL[held]);
    (
        2usize..20,
        2usize..20,
        rank,
        flags,
        (sides, pools),
        any::<u64>(),
    )
        .prop_map(
            |(
                d_input,
                d_output,
                rank,
                (bias, random, host, decide_on_device),
                (sides, pool_precision),
                seed,
            )| {
                Case {
                    sides,
                    d_input,
                    d_output,
                    // 7 stands for the largest rank that leaves a vector to switch with; a larger one is refused.
                    rank: match rank {
                        7 => d_input.min(d_output) - 1,
                        rank => rank.min(d_input.min(d_output) - 1),
                    },
                    bias,
                    selection: if random {
                        Selection::Random
                    } else {
                        Selection::Contiguous
                    },
                    pools: if host {
                        PoolPlacement::Host
                    } else {
                        PoolPlacement::Device
                    },
                    pool_precision,
                    decide_on_device,
                    seed,
                }
            },
        )
}

impl Case {
    fn config(&self) -> SwitchLoraConfig {
        let mut config =
            SwitchLoraConfig::new(Some(self.rank), SwitchSchedule::fixed(10.0)).unwrap();
        // Freezing for one update and an interval of two make a small layer switch at every update.
        (config.freeze, config.schedule) = (1, SwitchSchedule::fixed(2.0));
        (config.selection, config.pools, config.seed) = (self.selection, self.pools, self.seed);
        config.pool_precision = self.pool_precision;
        config.sides = self.sides;
        config
    }

    fn start<B: AutodiffBackend>(
        &self,
        config: &SwitchLoraConfig,
    ) -> (SwitchLoraLinear<B>, Method<B>) {
        RANDOM.set(stream(self.seed, Purpose::Weights, 0, 0));
        let linear = Linear {
            weight: Param::from_tensor(input(self.d_input, self.d_output)),
            bias: self
                .bias
                .then(|| Param::from_tensor(input(1, self.d_output).reshape([self.d_output]))),
        };
        let layer = config.linear(self.d_input, self.d_output);
        let layer = RANDOM.with_borrow_mut(|random| layer.adapt_from(linear, random));
        let optimizer = ClipGradNorm::new(1.0, config.optimizer())
            .with_decision_on_device(self.decide_on_device);
        (layer, optimizer)
    }
}

thread_local! {
    /// Drawn on the host: the backend's own random numbers are shared by all tests of the process.
    static RANDOM: RefCell<ChaCha8Rng> = RefCell::new(stream(0, Purpose::Weights, 0, 0));
}

fn input<B: AutodiffBackend>(rows: usize, columns: usize) -> Tensor<B, 2> {
    let data = RANDOM.with_borrow_mut(|random| uniform(rows, columns, 1.7, random));
    Tensor::from_data(data, &Default::default())
}

/// Gradients that reach every row: those of `sum((x W' - y)^2)`.
fn gradients<B: AutodiffBackend>(layer: &SwitchLoraLinear<B>) -> GradientsParams {
    let [n, m] = layer.weight.dims();
    let error = layer.forward(input::<B>(8, n)) - input::<B>(8, m);
    GradientsParams::from_grads(error.square().sum().backward(), layer)
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn close(left: &[f32], right: &[f32], tolerance: f32) -> bool {
    let scale = left.iter().fold(1e-3f32, |max, v| max.max(v.abs()));
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(l, r)| (l - r).abs() <= tolerance * scale)
}

/// The vectors of one side, of layer and pool together, as the pool can hold them, sorted.
fn multiset(
    live: Vec<f32>,
    pool: &Option<TensorData>,
    scales: &Option<TensorData>,
    length: usize,
    held: PoolPrecision,
) -> Vec<Vec<u32>> {
    let live = match held {
        PoolPrecision::F32 => live,
        // Rounded by the backend: flex goes through f64 and so takes numbers just above a tie for ties.
        PoolPrecision::Bf16 => {
            let live = Tensor::<Flex, 1>::from_data(&live[..], &Default::default());
            values(live.cast(DType::BF16).cast(DType::F32))
        }
        PoolPrecision::Int8 => live.chunks(length).flat_map(in_eight_bits).collect(),
    };
    let pool = pool.iter().flat_map(|pool| {
        let numbers = pool.iter::<f32>();
        let scales: Vec<f32> = scales
            .iter()
            .flat_map(|scales| scales.iter::<f32>())
            .collect();
        let scale = |index: usize| scales.get(index / length).copied().unwrap_or(1.0);
        let values = numbers
            .enumerate()
            .map(|(index, number)| number * scale(index));
        values.collect::<Vec<f32>>()
    });
    let all: Vec<u32> = live.into_iter().chain(pool).map(f32::to_bits).collect();
    let mut vectors: Vec<Vec<u32>> = all.chunks(length).map(<[u32]>::to_vec).collect();
    vectors.sort();
    vectors
}

/// A vector rounded to multiples of a 127th of its largest magnitude, that rounded to 16 bits.
fn in_eight_bits(vector: &[f32]) -> Vec<f32> {
    let largest = vector
        .iter()
        .fold(0.0f32, |max, value| max.max(value.abs()));
    let scale = largest / 127.0;
    let half = 2f64.powi(scale.log2().floor() as i32 - 15);
    let scale = ((f64::from(scale) / half).round_ties_even() * half) as f32;
    // There is no negative zero in eight bits.
    let rounded = |value: &f32| (value / scale).round_ties_even() * scale + 0.0;
    vector.iter().map(rounded).collect()
}

fn sides(layer: &SwitchLoraLinear<B>) -> [Vec<f32>; 2] {
    let side =
        |side: &Option<burn::module::Param<Tensor<B, 2>>>| values(side.as_ref().unwrap().val());
    [side(&layer.lora_a), side(&layer.lora_b)]
}

fn record<B: AutodiffBackend>(optimizer: &Method<B>) -> OptimizerRecord {
    Optimizer::<SwitchLoraLinear<B>, B>::to_record(optimizer).0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_switch_changes_the_output_by_rounding_only_and_loses_no_vector(case in case()) {
        let (mut layer, mut optimizer) = case.start::<B>(&case.config());
        optimizer.inner_mut().prepare(&layer);
        let x = input::<B>(5, case.d_input);
        let before = values(layer.forward(x.clone()));
        let start = record(&optimizer).layers.remove(0);
        let [a, b] = sides(&layer);
        let set_a = multiset(a, &start.candidates_a, &start.scales_a, case.d_input, case.pool_precision);
        let set_b = multiset(b, &start.candidates_b, &start.scales_b, case.d_output, case.pool_precision);
        let mut switched = 0;
        for _ in 0..12 {
            layer = optimizer.step(0.1, layer, GradientsParams::new());
            switched += optimizer.inner().last_switch_count();
        }
        // Twelve roundings of f32 sums over at most 40 products.
        prop_assert!(close(&before, &values(layer.forward(x)), 2e-5));
        let end = record(&optimizer).layers.remove(0);
        let [a, b] = sides(&layer);
        prop_assert_eq!(set_a, multiset(a, &end.candidates_a, &end.scales_a, case.d_input, case.pool_precision));
        prop_assert_eq!(set_b, multiset(b, &end.candidates_b, &end.scales_b, case.d_output, case.pool_precision));
        let can_switch = case.rank > 2 && case.rank < case.d_input.min(case.d_output);
        prop_assert!(!can_switch || switched > 0);
        // With both sides, the only row of a rank of one would be its own counterpart's.
        let both = case.sides == Sides::Both;
        prop_assert!(case.rank > 1 || case.selection == Selection::Random || !both || switched == 0);
    }

    #[test]
    fn exactly_the_counterparts_are_reset_and_no_others(case in case()) {
        let mut config = case.config();
        config.freeze = 2;
        config.schedule = SwitchSchedule::fixed(4.0);
        let (mut layer, mut optimizer) = case.start::<B>(&config);
        for _ in 0..10 {
            let before = record(&optimizer);
            layer = { let g = gradients(&layer); optimizer.step(0.01, layer, g) };
            let after = record(&optimizer);
            let switch = optimizer.inner().last_switches()[0].clone();
            let ids = [layer.lora_a.as_ref().unwrap().id, layer.lora_b.as_ref().unwrap().id];
            for (id, reset) in ids.into_iter().zip([&switch.b.rows, &switch.a.rows]) {
                let after = &after.moments[&id.serialize()];
                let counts = before.moments.get(&id.serialize()).map(|m| m.counts.clone());
                let first: Vec<f32> = after.first.iter().collect();
                let columns = first.len() / case.rank;
                for row in 0..case.rank {
                    let moment = &first[row * columns..][..columns];
                    let count = counts.as_ref().map_or(0, |counts| counts[row]);
                    let is_reset = reset.contains(&row);
                    prop_assert_eq!(after.counts[row], if is_reset { 1 } else { count + 1 });
                    let frozen = match id == ids[0] {
                        true => record(&optimizer).layers[0].state.a.frozen[row] > 0,
                        false => record(&optimizer).layers[0].state.b.frozen[row] > 0,
                    };
                    // A reset row is frozen, so it has no moment; a row that was never frozen has one.
                    prop_assert!(!is_reset || moment.iter().all(|&m| m == 0.0));
                    prop_assert!(is_reset || frozen || count < 3 || moment.iter().any(|&m| m != 0.0));
                }
            }
        }
    }

    #[test]
    fn a_frozen_row_does_not_move_for_exactly_n_updates(case in case(), freeze in 1u32..7, decay: bool) {
        let mut config = case.config();
        config.freeze = freeze;
        config.schedule = SwitchSchedule::fixed(f64::from(2 * freeze).max(4.0));
        config.adamw.weight_decay = if decay { 0.1 } else { 0.0 };
        let (mut layer, mut optimizer) = case.start::<B>(&config);
        let mut still = vec![[0u32; 2]; case.rank];
        for update in 0..30 {
            let before = sides(&layer);
            layer = { let g = gradients(&layer); optimizer.step(0.01, layer, g) };
            let after = sides(&layer);
            let switch = optimizer.inner().last_switches()[0].clone();
            let sides = [(&switch.a.rows, &switch.b.rows), (&switch.b.rows, &switch.a.rows)];
            for (side, (left, counterparts)) in sides.into_iter().enumerate() {
                let columns = before[side].len() / case.rank;
                for (row, still) in still.iter_mut().enumerate() {
                    if counterparts.contains(&row) {
                        prop_assert_eq!(still[side], 0, "frozen again at update {}", update);
                        still[side] = freeze;
                    }
                    let range = row * columns..(row + 1) * columns;
                    let moved = before[side][range.clone()] != after[side][range];
                    prop_assert!(still[side] == 0 || !left.contains(&row));
                    prop_assert_eq!(moved, still[side] == 0, "row {} side {} update {}", row, side, update);
                    still[side] = still[side].saturating_sub(1);
                }
            }
        }
    }

    #[test]
    fn merging_and_adapting_change_nothing_by_more_than_rounding(case in case()) {
        let device = Default::default();
        let linear = burn::nn::LinearConfig::new(case.d_input, case.d_output).with_bias(case.bias).init::<B>(&device);
        let x = input::<B>(5, case.d_input);
        let plain = values(linear.forward(x.clone()));
        let layer = case.config().linear(case.d_input, case.d_output).adapt(linear);
        prop_assert!(close(&plain, &values(layer.forward(x.clone())), 1e-5));
        let merged = layer.valid().merge().forward(x.inner()).into_data().iter::<f32>().collect::<Vec<_>>();
        prop_assert!(close(&plain, &merged, 1e-5));
    }

    #[test]
    fn a_saved_and_loaded_state_goes_on_bit_for_bit(case in case(), updates in 1usize..8) {
        let config = case.config();
        let (mut layer, mut optimizer) = case.start::<B>(&config);
        for _ in 0..updates {
            layer = { let g = gradients(&layer); optimizer.step(0.01, layer, g) };
        }
        let saved = Optimizer::<SwitchLoraLinear<B>, B>::to_record(&optimizer);
        let mut resumed = ClipGradNorm::new(1.0, config.optimizer())
            .with_decision_on_device(case.decide_on_device)
            .load_record(saved.clone());
        prop_assert_eq!(&saved, &Optimizer::<SwitchLoraLinear<B>, B>::to_record(&resumed));
        let mut twin = layer.clone();
        let fixed: Vec<_> = (0..6).map(|_| (input::<B>(8, case.d_input), input::<B>(8, case.d_output))).collect();
        for (x, y) in fixed {
            let step = |layer: SwitchLoraLinear<B>, optimizer: &mut Method<B>| {
                let loss = (layer.forward(x.clone()) - y.clone()).square().sum();
                let gradients = GradientsParams::from_grads(loss.backward(), &layer);
                optimizer.step(0.01, layer, gradients)
            };
            layer = step(layer, &mut optimizer);
            twin = step(twin, &mut resumed);
        }
        prop_assert_eq!(parameters(&layer), parameters(&twin));
        prop_assert_eq!(record(&optimizer), record(&resumed));
    }

    #[test]
    fn a_loss_or_norm_that_is_not_finite_leaves_everything_as_it_was_and_is_counted(
        case in case(), bad in prop_oneof![Just(f32::NAN), Just(f32::INFINITY)], first: bool, only_the_loss: bool,
    ) {
        let (mut layer, mut optimizer) = case.start::<B>(&case.config());
        optimizer.inner_mut().prepare(&layer);
        if !first {
            for _ in 0..3 {
                layer = { let g = gradients(&layer); optimizer.step(0.01, layer, g) };
            }
        }
        let before = (parameters(&layer), record(&optimizer));
        let factor = if only_the_loss { 1.0 } else { bad };
        let loss = (layer.forward(input::<B>(4, case.d_input)) * factor).sum();
        let poisoned = GradientsParams::from_grads(loss.backward(), &layer);
        layer = optimizer.step_with_loss(0.01, layer, poisoned, (loss * bad).inner());
        prop_assert_eq!(optimizer.skipped(), 1);
        prop_assert_eq!(&before.0, &parameters(&layer));
        let after = record(&optimizer);
        prop_assert_eq!(&before.1.layers, &after.layers);
        prop_assert_eq!(before.1.updates, after.updates);
        if !first {
            prop_assert_eq!(&before.1, &after);
        }
        // And it goes on.
        let healthy = gradients(&layer);
        layer = optimizer.step_with_loss(0.01, layer, healthy, Tensor::ones([1], &Default::default()));
        prop_assert_ne!(&before.0, &parameters(&layer));
        prop_assert_eq!(optimizer.skipped(), 1);
        prop_assert_eq!(optimizer.inner().updates(), before.1.updates + 1);
        prop_assert!(parameters(&layer).iter().flatten().all(|bits| f32::from_bits(*bits).is_finite()));
    }

    #[test]
    fn host_pools_and_decisions_on_the_device_give_the_same_run(case in case()) {
        let run = |pools: PoolPlacement, on_device: bool| {
            let case = Case { pools, decide_on_device: on_device, ..case.clone() };
            let config = case.config();
            let (mut layer, optimizer) = case.start::<B>(&config);
            let mut optimizer = ClipGradNorm::new(f64::INFINITY, optimizer.inner().clone())
                .with_decision_on_device(on_device);
            for _ in 0..10 {
                layer = { let g = gradients(&layer); optimizer.step(0.01, layer, g) };
            }
            (parameters(&layer), record(&optimizer))
        };
        let expected = run(PoolPlacement::Device, false);
        // The same random inputs are drawn again, since each run starts from the seed of the case.
        prop_assert_eq!(&expected.0, &run(PoolPlacement::Host, false).0);
        let deferred = run(PoolPlacement::Host, true);
        prop_assert_eq!(&expected.0, &deferred.0);
        prop_assert_eq!(&expected.1.layers, &deferred.1.layers);
    }
}

#[test]
fn pools_in_bf16_hold_rounded_vectors_that_a_switch_brings_in_as_they_are() {
    let case = Case {
        d_input: 12,
        d_output: 10,
        rank: 4,
        bias: false,
        selection: Selection::Contiguous,
        sides: Sides::Both,
        pools: PoolPlacement::Device,
        pool_precision: PoolPrecision::Bf16,
        decide_on_device: false,
        seed: 3,
    };
    for pools in [PoolPlacement::Device, PoolPlacement::Host] {
        let case = Case {
            pools,
            ..case.clone()
        };
        let (mut layer, mut optimizer) = case.start::<B>(&case.config());
        optimizer.inner_mut().prepare(&layer);
        let rounded = |value: &f32| bf16::from_f32(*value).to_f32() == *value;
        let held = |optimizer: &Method<B>| {
            let layer = record(optimizer).layers.remove(0);
            let pools = layer.candidates_a.into_iter().chain(layer.candidates_b);
            pools
                .flat_map(|pool| pool.iter::<f32>().collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        assert!(held(&optimizer).iter().all(rounded));
        let before = sides(&layer).map(|side| side.iter().filter(|value| rounded(value)).count());
        for _ in 0..12 {
            layer = optimizer.step(0.1, layer, GradientsParams::new());
        }
        assert!(held(&optimizer).iter().all(rounded));
        let after = sides(&layer).map(|side| side.iter().filter(|value| rounded(value)).count());
        assert!(
            before[0] < after[0] && before[1] < after[1],
            "{before:?} {after:?}"
        );
    }
}

#[test]
fn the_laws_hold_on_the_reference_backend_too() {
    type Reference = Autodiff<NdArray>;
    let case = Case {
        d_input: 13,
        d_output: 9,
        rank: 4,
        bias: true,
        selection: Selection::Contiguous,
        sides: Sides::Both,
        pools: PoolPlacement::Device,
        pool_precision: PoolPrecision::F32,
        decide_on_device: false,
        seed: 11,
    };
    let (mut layer, mut optimizer) = case.start::<Reference>(&case.config());
    let x = input::<Reference>(5, 13);
    let before = values(layer.forward(x.clone()));
    for _ in 0..20 {
        layer = optimizer.step(0.1, layer, GradientsParams::new());
    }
    assert!(close(&before, &values(layer.forward(x)), 2e-5));
}

#[test]
fn clipping_scales_all_gradients_by_one_factor() {
    let device = Default::default();
    let config = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
    let layer: SwitchLoraLinear<B> = config.linear(6, 5).with_bias(true).init(&device);
    let mut optimizer: Method<B> = ClipGradNorm::new(0.5, config.optimizer());
    let loss = layer.forward(input::<B>(4, 6)).square().sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &layer);
    let squares = |d: Vec<f32>| d.iter().map(|v| f64::from(v * v)).sum::<f64>();
    let weight = gradients.get::<Flex, 2>(layer.weight.id).unwrap();
    let bias = gradients
        .get::<Flex, 1>(layer.bias.as_ref().unwrap().id)
        .unwrap();
    let norm = (squares(weight.to_data().iter().collect())
        + squares(bias.into_data().iter().collect()))
    .sqrt();
    let layer = optimizer.step(0.01, layer, gradients);
    let found = f64::from(optimizer.grad_norm().unwrap().get());
    assert!((found / norm - 1.0).abs() < 1e-5, "{found} {norm}");
    // The first moment after one update is (1 - beta_1) times the clipped gradient.
    let record = record(&optimizer);
    let first: Vec<f32> = record.moments[&layer.weight.id.serialize()]
        .first
        .iter()
        .collect();
    let expected: Vec<f32> = weight
        .into_data()
        .iter::<f32>()
        .map(|g| (f64::from(g) * 0.1 * 0.5 / norm) as f32)
        .collect();
    assert!(close(&expected, &first, 1e-5));
}
