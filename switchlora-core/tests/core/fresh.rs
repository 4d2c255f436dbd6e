//! Candidates that are drawn when they enter: the pool that has no end and takes no memory.

use super::bits::parameters;
use burn::backend::Autodiff;
use burn::module::Param;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::{ElementConversion, Tensor};
use burn_flex::Flex;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use switchlora_core::init::uniform;
use switchlora_core::{
    Candidates, ClipGradNorm, MethodOptimizer, OptimizerRecord, Purpose, SwitchLoraConfig,
    SwitchLoraLinear, SwitchSchedule, stream,
};

type B = Autodiff<Flex>;
type Layer = SwitchLoraLinear<B>;
type Optimized = ClipGradNorm<MethodOptimizer<Layer, B>>;

/// A layer and its training.
struct Run {
    layer: Layer,
    optimizer: Optimized,
    random: ChaCha8Rng,
}

/// Switches several vectors at every update.
fn config(rank: usize, candidates: Candidates, seed: u64) -> SwitchLoraConfig {
    let mut config = SwitchLoraConfig::new(Some(rank), SwitchSchedule::fixed(10.0)).unwrap();
    (config.freeze, config.schedule) = (1, SwitchSchedule::fixed(2.0));
    (config.candidates, config.seed) = (candidates, seed);
    config
}

impl Run {
    fn new(n: usize, m: usize, config: &SwitchLoraConfig) -> Self {
        let mut random = stream(config.seed, Purpose::Weights, 0, 0);
        let weight = Tensor::from_data(uniform(n, m, 1.0, &mut random), &Default::default());
        let linear = burn::nn::Linear {
            weight: Param::from_tensor(weight),
            bias: None,
        };
        Self {
            layer: config.linear(n, m).adapt_from(linear, &mut random),
            optimizer: ClipGradNorm::new(1.0, config.optimizer()),
            random,
        }
    }

    fn input(&mut self, rows: usize, columns: usize) -> Tensor<B, 2> {
        let data = uniform(rows, columns, 1.7, &mut self.random);
        Tensor::from_data(data, &Default::default())
    }

    fn train(&mut self, updates: usize) {
        for _ in 0..updates {
            let [n, m] = self.layer.weight.dims();
            let (x, y) = (self.input(8, n), self.input(8, m));
            let error = self.layer.forward(x) - y;
            let gradients = error.square().mean().backward();
            let gradients = GradientsParams::from_grads(gradients, &self.layer);
            self.layer = self.optimizer.step(0.01, self.layer.clone(), gradients);
        }
    }

    fn record(&self) -> OptimizerRecord {
        Optimizer::<Layer, B>::to_record(&self.optimizer).0
    }

    /// Vectors that have entered either side.
    fn entered(&self) -> [u64; 2] {
        let states = self.optimizer.inner().layer_states();
        states
            .first()
            .map_or([0; 2], |(_, state)| [state.a.position, state.b.position])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn they_are_the_vectors_of_the_pools_until_these_have_come_round(
        n in 6usize..24, m in 6usize..24, rank in 2usize..5, seed: u64,
    ) {
        let spare = (n.min(m) - rank) as u64;
        let start = |candidates| Run::new(n, m, &config(rank, candidates, seed));
        let (mut pools, mut fresh) = (start(Candidates::Drawn), start(Candidates::Fresh));
        for _ in 0..200 {
            pools.train(1);
            fresh.train(1);
            prop_assert_eq!(pools.entered(), fresh.entered());
            if pools.entered().iter().any(|&entered| entered > spare) {
                break;
            }
            prop_assert_eq!(parameters(&pools.layer), parameters(&fresh.layer));
        }
        // Now a vector of the pool has entered that had left, and a new one here.
        prop_assert!(pools.entered().iter().any(|&entered| entered > spare));
        prop_assert_ne!(parameters(&pools.layer), parameters(&fresh.layer));
    }

    #[test]
    fn nothing_of_them_is_kept_and_a_switch_changes_the_output_by_rounding_only(
        n in 6usize..24, m in 6usize..24, rank in 2usize..5, seed: u64,
    ) {
        let mut run = Run::new(n, m, &config(rank, Candidates::Fresh, seed));
        let x = run.input(5, n);
        let before = run.layer.forward(x.clone());
        for _ in 0..40 {
            run.layer = run.optimizer.step(0.1, run.layer.clone(), GradientsParams::new());
        }
        prop_assert!(run.entered().iter().all(|&entered| entered > 30));
        let [most, scale] = [run.layer.forward(x) - before.clone(), before]
            .map(|values| values.abs().max().into_scalar().elem::<f32>());
        // Forty roundings of f32 sums.
        prop_assert!(most <= 1e-4 * (1.0 + scale), "{most} of {scale}");
        let layer = run.record().layers.remove(0);
        prop_assert!(layer.candidates_a.is_none() && layer.candidates_b.is_none());
    }
}

#[test]
fn a_training_with_pools_goes_on_without_them() {
    let with = config(4, Candidates::Drawn, 7);
    let mut run = Run::new(10, 12, &with);
    run.train(5);
    assert!(run.record().layers[0].candidates_a.is_some());
    let without = config(4, Candidates::Fresh, 7);
    let saved = Optimizer::<Layer, B>::to_record(&run.optimizer);
    let optimizer = ClipGradNorm::new(1.0, without.optimizer());
    run.optimizer = Optimizer::<Layer, B>::load_record(optimizer, saved.clone());
    let entered = run.entered();
    run.train(5);
    assert!(run.record().layers[0].candidates_a.is_none());
    assert!(run.entered() > entered);
    // And back: pools are drawn again.
    let saved = Optimizer::<Layer, B>::to_record(&run.optimizer);
    let optimizer = ClipGradNorm::new(1.0, with.optimizer());
    run.optimizer = Optimizer::<Layer, B>::load_record(optimizer, saved);
    run.train(5);
    assert!(run.record().layers[0].candidates_a.is_some());
}

#[test]
fn candidates_by_gradient_are_never_zero_even_where_no_gradient_has_come_yet() {
    for rank in [2, 3] {
        let mut run = Run::new(10, 12, &config(rank, Candidates::Gradient, 7));
        for _ in 0..20 {
            // Without input the gradients, and with them the moments, of A are zero.
            let error = run
                .layer
                .forward(Tensor::<B, 2>::zeros([8, 10], &Default::default()));
            let gradients = (error + 1.0).square().mean().backward();
            let gradients = GradientsParams::from_grads(gradients, &run.layer);
            run.layer = run.optimizer.step(0.01, run.layer.clone(), gradients);
        }
        assert!(run.entered().iter().all(|&entered| entered > 5));
        for factor in [&run.layer.lora_a, &run.layer.lora_b] {
            let largest = factor.as_ref().unwrap().val().abs().max_dim(1);
            let least: f32 = largest.min().into_scalar();
            assert!(least > 1e-3, "{least} at rank {rank}");
        }
    }
}

#[test]
fn a_count_of_vectors_that_no_training_reaches_is_a_damaged_state() {
    let mut run = Run::new(10, 12, &config(4, Candidates::Fresh, 7));
    run.train(5);
    let load = |position: u64| {
        let mut saved = Optimizer::<Layer, B>::to_record(&run.optimizer);
        saved.0.layers[0].state.b.position = position;
        let empty = ClipGradNorm::new(1.0, config(4, Candidates::Fresh, 7).optimizer());
        let mut loaded: Optimized = Optimizer::<Layer, B>::load_record(empty, saved);
        loaded.inner_mut().try_prepare(&run.layer)
    };
    assert!(load(1 << 40).is_ok());
    assert!(load(u64::MAX).is_err());
}
