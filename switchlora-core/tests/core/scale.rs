//! A switch and a restart leave the output alone, whatever was configured how: the scale is the layer's own.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::optim::{GradientsParams, Optimizer};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_flex::Flex;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use switchlora_core::init::uniform;
use switchlora_core::{
    ClipGradNorm, FactorInit, MethodOptimizer, PoolPlacement, Purpose, ReLoraConfig, Selection,
    Sides, SwitchLoraConfig, SwitchLoraLinear, SwitchLoraLinearConfig, SwitchSchedule, lora_layers,
    stream,
};

type B = Autodiff<Flex>;

/// A module of a user that happens to have the layer's name and fields of its names.
mod of_the_user {
    use super::*;

    #[derive(Module, Debug)]
    pub struct SwitchLoraLinear<B: Backend> {
        pub weight: Param<Tensor<B, 2>>,
        pub lora_a: Param<Tensor<B, 2>>,
        pub lora_b: switchlora_core::SwitchLoraLinear<B>,
    }
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "the layer is the point")]
enum Either<B: Backend> {
    Layer(SwitchLoraLinear<B>),
    Norm(LayerNorm<B>),
}

/// Layers in every place that a module of Burn has.
#[derive(Module, Debug)]
struct Model<B: Backend> {
    norm: LayerNorm<B>,
    first: SwitchLoraLinear<B>,
    several: Vec<SwitchLoraLinear<B>>,
    maybe: Option<SwitchLoraLinear<B>>,
    pair: (SwitchLoraLinear<B>, Linear<B>),
    either: Either<B>,
    namesake: of_the_user::SwitchLoraLinear<B>,
    array: [SwitchLoraLinear<B>; 1],
}

impl<B: Backend> Model<B> {
    fn layers(&self) -> Vec<&SwitchLoraLinear<B>> {
        let mut layers = vec![&self.first];
        layers.extend(&self.several);
        layers.extend(&self.maybe);
        layers.push(&self.pair.0);
        if let Either::Layer(layer) = &self.either {
            layers.push(layer);
        }
        layers.push(&self.namesake.lora_b);
        layers.extend(&self.array);
        layers
    }
}

/// Configurations of the layers, and of an optimizer that agrees with none of them.
#[derive(Clone, Debug)]
struct Case {
    layers: Vec<SwitchLoraLinearConfig>,
    method: SwitchLoraConfig,
    /// The way of the model to the optimizer.
    ways: Vec<Way>,
    decide_on_device: bool,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Clone,
    ValidAndBack,
    Fork,
    Record,
    RecordOfAnother,
    Rescaled,
}

const LAYERS: usize = 8;

fn layer() -> impl Strategy<Value = SwitchLoraLinearConfig> {
    let alpha = prop_oneof![Just(1.0), Just(-2.0), 0.01f64..50.0];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (3usize..14, 3usize..14, 2usize..13, alpha, flags).prop_map(
        |(n, m, rank, alpha, (bias, zero, lora))| {
            SwitchLoraLinearConfig::new(n, m)
                .with_rank(Some(rank.min(n.min(m) - 1)))
                .with_alpha(alpha)
                .with_bias(bias)
                .with_zero_weight(zero)
                .with_factors(if lora {
                    FactorInit::Lora
                } else {
                    FactorInit::SwitchLora
                })
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let way = prop_oneof![
        Just(Way::Clone),
        Just(Way::ValidAndBack),
        Just(Way::Fork),
        Just(Way::Record),
        Just(Way::RecordOfAnother),
        Just(Way::Rescaled)
    ];
    let layers = prop::collection::vec(layer(), LAYERS);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let method = (
        prop::option::of(1usize..9),
        0.01f64..50.0,
        flags,
        any::<u64>(),
    );
    let ways = prop::collection::vec(way, 0..3);
    (layers, method, ways).prop_map(
        |(layers, (rank, alpha, (random, host, decide_on_device), seed), ways)| {
            let mut method = SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap();
            (method.freeze, method.schedule) = (1, SwitchSchedule::fixed(2.0));
            (method.alpha, method.seed, method.sides) = (alpha, seed, Sides::Both);
            method.selection = if random {
                Selection::Random
            } else {
                Selection::Contiguous
            };
            method.pools = if host {
                PoolPlacement::Host
            } else {
                PoolPlacement::Device
            };
            Case {
                layers,
                method,
                ways,
                decide_on_device,
                seed,
            }
        },
    )
}

fn draw(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Tensor<B, 2> {
    Tensor::from_data(uniform(rows, columns, 1.3, random), &Default::default())
}

fn model(configs: &[SwitchLoraLinearConfig], random: &mut ChaCha8Rng) -> Model<B> {
    let (device, mut configs) = (Default::default(), configs.iter());
    let mut layer = || {
        let config = configs.next().expect("a configuration for each layer");
        let (n, m) = (config.d_input, config.d_output);
        let bias = config
            .bias
            .then(|| Param::from_tensor(draw(1, m, random).reshape([m])));
        let weight = Param::from_tensor(draw(n, m, random));
        config.adapt_from(Linear { weight, bias }, random)
    };
    Model {
        norm: LayerNormConfig::new(5).init(&device),
        first: layer(),
        several: vec![layer(), layer()],
        maybe: Some(layer()),
        pair: (layer(), burn::nn::LinearConfig::new(3, 3).init(&device)),
        either: Either::Layer(layer()),
        namesake: of_the_user::SwitchLoraLinear {
            weight: Param::from_tensor(Tensor::ones([2, 2], &device)),
            lora_a: Param::from_tensor(Tensor::ones([2, 2], &device)),
            lora_b: layer(),
        },
        array: [layer()],
    }
}

impl Case {
    fn travelled(&self, model: Model<B>) -> Model<B> {
        self.ways.iter().fold(model, |model, way| match way {
            Way::Clone => model.clone(),
            Way::ValidAndBack => Model::from_inner(model.valid()),
            Way::Fork => model.fork(&Default::default()),
            Way::Record => {
                let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
                let bytes = recorder.record(model.clone().into_record(), ()).unwrap();
                model.load_record(recorder.load(bytes, &Default::default()).unwrap())
            }
            // Into a model whose layers have other ranks and scales.
            Way::RecordOfAnother => {
                let others = self.layers.iter().map(|config| {
                    config
                        .clone()
                        .with_rank(Some(1))
                        .with_alpha(0.3)
                        .with_bias(!config.bias)
                });
                let others: Vec<_> = others.collect();
                let random = &mut stream(self.seed ^ 1, Purpose::Weights, 0, 0);
                self::model(&others, random).load_record(model.into_record())
            }
            Way::Rescaled => {
                let mut model = model;
                model.first.scale *= 3.0;
                model.several[1].scale = -0.25;
                model
            }
        })
    }

    fn start(&self) -> Model<B> {
        let random = &mut stream(self.seed, Purpose::Weights, 0, 0);
        self.travelled(model(&self.layers, random))
    }
}

/// Calls `of` with each layer and the same input.
fn each<T>(model: &Model<B>, of: impl Fn(&SwitchLoraLinear<B>, Tensor<B, 2>) -> T) -> Vec<T> {
    let random = &mut stream(9, Purpose::Draw, 0, 0);
    let layers = model.layers().into_iter();
    layers
        .map(|layer| of(layer, draw(4, layer.weight.dims()[0], random)))
        .collect()
}

fn outputs(model: &Model<B>) -> Vec<Vec<f32>> {
    each(model, |layer, x| {
        layer.forward(x).into_data().iter::<f32>().collect()
    })
}

/// The size of the sums that make up the outputs.
fn sizes(model: &Model<B>) -> Vec<f32> {
    each(model, |layer, x| {
        let factors = layer.lora_a.as_ref().zip(layer.lora_b.as_ref());
        let product = factors.map(|(a, b)| a.val().abs().transpose().matmul(b.val().abs()));
        let weight = layer.weight.val().abs();
        let sizes = product.map_or(weight.clone(), |p| weight + p * layer.scale.abs());
        x.abs().matmul(sizes).max().into_scalar()
    })
}

fn unchanged(before: &[Vec<f32>], after: &[Vec<f32>], sizes: &[f32]) -> Result<(), TestCaseError> {
    for (layer, (before, after)) in before.iter().zip(after).enumerate() {
        // Up to ten roundings of sums of forty products, each of a part in 2^24.
        let most = 2e-5 * sizes[layer];
        for (before, after) in before.iter().zip(after) {
            let off = (before - after).abs();
            prop_assert!(off <= most, "layer {}: {} and {}", layer, before, after);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_switch_leaves_the_output_alone(case in case()) {
        let mut model = case.start();
        let found: Vec<f64> = lora_layers(&model).iter().map(|layer| layer.scale).collect();
        let own: Vec<f64> = model.layers().iter().map(|layer| layer.scale).collect();
        prop_assert_eq!(found, own);
        let mut optimizer: ClipGradNorm<MethodOptimizer<Model<B>, B>> =
            ClipGradNorm::new(1.0, case.method.optimizer()).with_decision_on_device(case.decide_on_device);
        let before = outputs(&model);
        let mut switched = [0; LAYERS];
        let mut sizes = sizes(&model);
        for _ in 0..10 {
            model = optimizer.step(0.1, model, GradientsParams::new());
            sizes = sizes.into_iter().zip(self::sizes(&model)).map(|(a, b)| a.max(b)).collect();
            for (layer, switched) in optimizer.inner().last_switches().iter().zip(&mut switched) {
                *switched += layer.count;
            }
        }
        for (layer, switched) in model.layers().iter().zip(switched) {
            // The first update switches r / 2 vectors, one if r is 2 or 3.
            prop_assert!(switched > 0 || layer.rank() < Some(2), "{:?}", switched);
        }
        unchanged(&before, &outputs(&model), &sizes)?;
    }

    #[test]
    fn a_restart_leaves_the_output_alone(case in case()) {
        let mut model = case.start();
        let relora = ReLoraConfig::new(1).unwrap();
        let mut optimizer: MethodOptimizer<Model<B>, B> = relora.optimizer(&case.method);
        let (before, sizes) = (outputs(&model), sizes(&model));
        for _ in 0..3 {
            model = optimizer.step(0.0, model, GradientsParams::new());
        }
        for layer in model.layers() {
            let b = layer.lora_b.as_ref().unwrap().val().abs().max().into_scalar();
            prop_assert_eq!(b, 0.0);
        }
        unchanged(&before, &outputs(&model), &sizes)?;
    }

    #[test]
    fn merging_takes_the_layers_scale(case in case()) {
        let model = case.start();
        let random = &mut stream(5, Purpose::Draw, 0, 0);
        for layer in model.layers() {
            let x = draw(3, layer.weight.dims()[0], random);
            let (own, merged) = (layer.forward(x.clone()), layer.clone().merge().forward(x));
            let size = own.clone().abs().max().into_scalar().max(1.0);
            let off = (own - merged).abs().max().into_scalar();
            prop_assert!(off <= 1e-4 * size * (1.0 + layer.scale.abs() as f32));
        }
    }
}

#[test]
fn a_visitor_that_looks_at_parameters_sees_the_fields_by_their_names() {
    #[derive(Default)]
    struct Paths(Vec<String>, Vec<String>);
    impl burn::module::ModuleVisitor<B> for Paths {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<B, D>>) {
            self.1.push(self.0.join("."));
        }
    }
    let config = SwitchLoraLinearConfig::new(4, 5)
        .with_rank(Some(2))
        .with_bias(true);
    let layers: Vec<SwitchLoraLinear<B>> = vec![config.init(&Default::default())];
    let mut paths = Paths::default();
    layers.visit(&mut paths);
    assert_eq!(paths.1, ["0.weight", "0.lora_a", "0.lora_b", "0.bias"]);
    assert!(paths.0.is_empty());
    assert_eq!(Module::<B>::num_params(&layers), 20 + 8 + 10 + 5);
    assert!(layers[0].to_string().contains("rank: 2"), "{}", layers[0]);
}
