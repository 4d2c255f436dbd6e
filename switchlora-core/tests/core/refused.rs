//! A configuration is refused by the name of a field, or it trains.

use burn::backend::Autodiff;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn_flex::Flex;
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use switchlora_core::init::uniform;
use switchlora_core::{
    AdamWConfig, BiasCorrection, Candidates, ClipGradNorm, ConfigError, FactorInit, GaLoreConfig,
    Method, MethodConfig, MethodOptimizer, MomentReset, MuonConfig, PoolPlacement, PoolPrecision,
    Precision, Purpose, ReLoraConfig, Selection, Sides, SwitchLoraConfig, SwitchLoraLinear,
    SwitchLoraLinearConfig, SwitchSchedule, stream,
};

type B = Autodiff<Flex>;
type Layer = SwitchLoraLinear<B>;

/// Numbers that programs stumble over, and some that they do not.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => Just(0.0), 2 => Just(1.0), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(-1.0),
        1 => Just(f64::NEG_INFINITY), 1 => Just(1e300), 1 => Just(1e-300), 1 => Just(f64::MIN_POSITIVE),
        1 => Just(2.0), 4 => 0.0f64..1.0, 4 => 1.0f64..100.0, 1 => any::<f64>(),
    ]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        2u64..60,
        Just(u64::MAX),
        Just(u64::from(u32::MAX))
    ]
}

/// A value that is fine most of the time, so that several fields together are.
fn mostly(good: f64) -> impl Strategy<Value = f64> {
    prop_oneof![6 => Just(good), 1 => number()]
}

fn adamw() -> impl Strategy<Value = AdamWConfig> {
    (
        mostly(0.9),
        mostly(0.999),
        mostly(1e-8),
        mostly(0.1),
        any::<bool>(),
    )
        .prop_map(
            |(beta_1, beta_2, epsilon, weight_decay, decay_matrices_only)| AdamWConfig {
                beta_1,
                beta_2,
                epsilon,
                weight_decay,
                decay_matrices_only,
            },
        )
}

fn schedule() -> impl Strategy<Value = SwitchSchedule> {
    prop_oneof![
        Just(SwitchSchedule::Never),
        prop_oneof![3 => Just(4.0), 1 => number()].prop_map(SwitchSchedule::fixed),
        (
            mostly(4.0),
            mostly(0.5),
            prop_oneof![4 => Just(20u64), 1 => count()]
        )
            .prop_map(|(interval, ratio, total)| SwitchSchedule::decaying(interval, ratio, total)),
    ]
}

fn layers() -> impl Strategy<Value = SwitchLoraConfig> {
    let rank = prop_oneof![1 => Just(None), 1 => Just(Some(0)), 8 => (1usize..6).prop_map(Some)];
    let freeze = prop_oneof![6 => 0u32..3, 1 => Just(100), 1 => Just(u32::MAX), 1 => Just(1 << 31)];
    let sides = prop_oneof![Just(Sides::Both), Just(Sides::A), Just(Sides::B)];
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (
        rank,
        mostly(1.0),
        schedule(),
        freeze,
        sides,
        flags,
        adamw(),
        any::<u64>(),
    )
        .prop_map(
            |(
                rank,
                alpha,
                schedule,
                freeze,
                sides,
                (random, moments, counts, lora, zero, host),
                adamw,
                seed,
            )| {
                let candidates = Candidates::ALL[seed as usize % 3];
                SwitchLoraConfig {
                    rank,
                    alpha,
                    schedule,
                    freeze,
                    selection: if random {
                        Selection::Random
                    } else {
                        Selection::Contiguous
                    },
                    sides,
                    reset_moments: moments,
                    reset_counts: counts,
                    keep_second_moments: lora,
                    warmup: if host && !lora && counts { 3 } else { 0 },
                    orthogonal: (!host && candidates != Candidates::Gradient)
                        .then(MuonConfig::default),
                    candidates,
                    factors: if lora {
                        FactorInit::Lora
                    } else {
                        FactorInit::SwitchLora
                    },
                    zero_weight: zero,
                    pools: if host {
                        PoolPlacement::Host
                    } else {
                        PoolPlacement::Device
                    },
                    pool_precision: PoolPrecision::ALL[freeze as usize % 3],
                    adamw,
                    seed,
                    precision: Precision::F32,
                    frozen: if zero {
                        Precision::Bf16
                    } else {
                        Precision::F32
                    },
                }
            },
        )
}

fn method() -> impl Strategy<Value = MethodConfig> {
    let which = prop_oneof![
        3 => Just(Method::SwitchLora), 1 => Just(Method::Full), 1 => Just(Method::Lora),
        2 => Just(Method::ReLora), 2 => Just(Method::GaLore), 1 => Just(Method::Muon)
    ];
    let reset = prop_oneof![
        Just(MomentReset::Zero),
        Just(MomentReset::Random),
        Just(MomentReset::Magnitude)
    ];
    let relora = (
        prop_oneof![3 => Just(2u64), 1 => count()],
        reset,
        mostly(0.1),
        any::<bool>(),
    );
    let relora = relora.prop_map(|(cycle, reset, keep, reset_counts)| ReLoraConfig {
        cycle,
        reset,
        keep,
        reset_counts,
    });
    let correction = prop_oneof![
        Just(BiasCorrection::None),
        Just(BiasCorrection::Rate),
        Just(BiasCorrection::All)
    ];
    let rank = prop_oneof![4 => 1usize..4, 1 => Just(0), 1 => Just(usize::MAX)];
    let galore = (
        rank,
        prop_oneof![3 => Just(2u64), 1 => count()],
        mostly(0.25),
        correction,
        adamw(),
    );
    let galore = galore.prop_map(|(rank, gap, scale, bias_correction, adamw)| GaLoreConfig {
        rank,
        gap,
        scale,
        bias_correction,
        adamw,
    });
    let muon = (
        mostly(0.95),
        any::<bool>(),
        prop_oneof![4 => 1u32..6, 1 => 0u32..102],
    );
    let muon = muon.prop_map(|(momentum, nesterov, iterations)| MuonConfig {
        momentum,
        nesterov,
        iterations,
    });
    let groups = (muon, mostly(2.0));
    let all = (which, layers(), relora, galore, groups);
    all.prop_map(|(method, mut layers, relora, galore, (muon, layer_rate))| {
        if method.rank(1).is_none() && layers.rank != Some(0) {
            layers.rank = None;
        }
        if !method.switches() {
            layers.schedule = SwitchSchedule::Never;
        }
        MethodConfig {
            method,
            layers,
            relora,
            galore,
            muon,
            layer_rate,
        }
    })
}

/// The message of the panic of `work`.
fn refusal<T>(work: impl FnOnce() -> T) -> Option<String> {
    let reason = catch_unwind(AssertUnwindSafe(work)).err()?;
    Some(
        reason
            .downcast::<String>()
            .map(|text| *text)
            .unwrap_or_default(),
    )
}

fn names_a_field(reason: &ConfigError) -> bool {
    let fields = [
        "rank",
        "alpha",
        "interval",
        "ratio",
        "total",
        "freeze",
        "beta_1",
        "beta_2",
        "epsilon",
        "weight_decay",
        "cycle",
        "keep",
        "gap",
        "layer_rate",
        "momentum",
        "iterations",
        "scale",
        "d_input",
        "d_output",
        "warmup",
        "orthogonal",
    ];
    let text = reason.to_string();
    fields.iter().any(|field| text.contains(field))
}

struct Finite(bool);

impl ModuleVisitor<B> for Finite {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0 &= param.to_data().iter::<f32>().all(f32::is_finite);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_method_is_refused_by_the_name_of_a_field_or_trains(config in method()) {
        type Optim = ClipGradNorm<MethodOptimizer<Layer, B>>;
        let start = || -> Optim { ClipGradNorm::new(1.0, config.optimizer()) };
        if let Err(reason) = config.validate() {
            prop_assert!(names_a_field(&reason), "{}", reason);
            let text = refusal(start).expect("no optimizer of a wrong configuration");
            prop_assert!(text.contains(&reason.to_string()), "{}", text);
            return Ok(());
        }
        let mut optimizer = start();
        let random = &mut stream(config.layers.seed, Purpose::Weights, 0, 0);
        let mut input = |rows, columns| {
            Tensor::<B, 2>::from_data(uniform(rows, columns, 1.0, random), &Default::default())
        };
        let layer_config = config.layers.linear(9, 8).with_bias(true);
        prop_assert_eq!(layer_config.validate(), Ok(()));
        let mut layer: Layer = layer_config.init(&Default::default());
        let freeze = config.layers.freeze;
        for _ in 0..5 {
            let error = layer.forward(input(6, 9)) - input(6, 8);
            let gradients = GradientsParams::from_grads(error.square().mean().backward(), &layer);
            layer = optimizer.step(0.01, layer, gradients);
            let mut finite = Finite(true);
            layer.visit(&mut finite);
            prop_assert!(finite.0);
            if let [switch] = optimizer.inner().last_switches() {
                let (_, state) = &optimizer.inner().layer_states()[0];
                // This update is one of the N.
                for (rows, other) in [(&switch.a.rows, &state.b), (&switch.b.rows, &state.a)] {
                    prop_assert!(rows.iter().all(|&row| other.frozen[row] == freeze.saturating_sub(1)));
                }
            }
        }
        prop_assert_eq!(optimizer.skipped(), 0);
    }

    #[test]
    fn a_layer_is_refused_by_the_name_of_a_field_or_computes(
        n in 0usize..6, m in 0usize..6, rank in prop::option::of(0usize..8), alpha in number(),
    ) {
        let config = SwitchLoraLinearConfig::new(n, m).with_rank(rank).with_alpha(alpha);
        let device = Default::default();
        match config.validate() {
            Err(reason) => {
                prop_assert!(names_a_field(&reason), "{}", reason);
                let text = refusal(|| config.init::<B>(&device)).expect("no layer of a wrong configuration");
                prop_assert!(text.contains(&reason.to_string()), "{}", text);
            }
            Ok(()) => {
                let output = config.init::<B>(&device).forward(Tensor::<B, 2>::ones([2, n], &device));
                prop_assert!(output.into_data().iter::<f32>().all(f32::is_finite));
            }
        }
    }
}

#[test]
fn a_clipping_norm_that_is_no_norm_is_refused_by_name() {
    for norm in [f64::NAN, 0.0, -1.0, f64::NEG_INFINITY] {
        let text = refusal(|| ClipGradNorm::new(norm, ())).expect("no clipping to it");
        assert!(text.contains("max_norm"), "{text}");
    }
    ClipGradNorm::new(f64::INFINITY, ());
}

#[test]
fn public_fields_do_not_bypass_validation() {
    let fine = SwitchLoraConfig::new(Some(4), SwitchSchedule::fixed(40.0)).unwrap();
    for (field, change) in [
        (
            "freeze",
            (|config| config.freeze = 100) as fn(&mut SwitchLoraConfig),
        ),
        ("freeze", |config| config.freeze = u32::MAX),
        ("beta_1", |config| config.adamw.beta_1 = 2.0),
        ("alpha", |config| config.alpha = 0.0),
        ("rank", |config| config.rank = Some(0)),
        ("interval", |config| {
            config.schedule = SwitchSchedule::fixed(f64::INFINITY)
        }),
    ] {
        let mut config = fine.clone();
        change(&mut config);
        let text = refusal(|| config.optimizer::<Layer, B>()).expect("no such optimizer");
        assert!(text.contains(field), "{field}: {text}");
    }
}
