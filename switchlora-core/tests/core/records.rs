//! A layer becomes what its record says, to the last bit, or the record is refused with a reason.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::nn::{Linear, LinearConfig, LinearLayout};
use burn::optim::{GradientsParams, Optimizer};
use burn::record::{
    BinBytesRecorder, BinFileRecorder, FullPrecisionSettings, HalfPrecisionSettings,
    NamedMpkBytesRecorder, NamedMpkFileRecorder, PrecisionSettings, PrettyJsonFileRecorder, Record,
    Recorder,
};
use burn::tensor::{DType, Tensor};
use burn_flex::Flex;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use switchlora_core::init::uniform;
use switchlora_core::{
    ClipGradNorm, FactorInit, LayerRecordError, Precision, Purpose, SwitchLoraConfig,
    SwitchLoraLinear, SwitchLoraLinearConfig, SwitchSchedule, stream,
};

type B = Autodiff<Flex>;
type Layer = SwitchLoraLinear<B>;

const SIZE: [usize; 2] = [11, 9];

fn config() -> impl Strategy<Value = SwitchLoraLinearConfig> {
    let rank = prop_oneof![1 => Just(None), 4 => (1usize..9).prop_map(Some), 1 => Just(Some(12))];
    let alpha = prop_oneof![Just(1.0), Just(-3.0), 0.01f64..100.0];
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (rank, alpha, flags).prop_map(|(rank, alpha, (bias, zero, lora, precise, frozen))| {
        let precision = |bf16| {
            if bf16 {
                Precision::Bf16
            } else {
                Precision::F32
            }
        };
        let factors = if lora {
            FactorInit::Lora
        } else {
            FactorInit::SwitchLora
        };
        SwitchLoraLinearConfig::new(SIZE[0], SIZE[1])
            .with_rank(rank)
            .with_alpha(alpha)
            .with_bias(bias)
            .with_zero_weight(zero)
            .with_factors(factors)
            .with_precision(precision(precise))
            .with_frozen(precision(frozen))
    })
}

fn draw(rows: usize, columns: usize, random: &mut ChaCha8Rng) -> Tensor<B, 2> {
    Tensor::from_data(uniform(rows, columns, 1.3, random), &Default::default())
}

fn linear(bias: bool, random: &mut ChaCha8Rng) -> Linear<B> {
    let row = draw(1, SIZE[1], random).reshape([SIZE[1]]);
    Linear {
        weight: Param::from_tensor(draw(SIZE[0], SIZE[1], random)),
        bias: bias.then(|| Param::from_tensor(row)),
    }
}

fn layer(config: &SwitchLoraLinearConfig, seed: u64) -> Layer {
    let random = &mut stream(seed, Purpose::Weights, 0, 0);
    config.adapt_from(linear(config.bias, random), random)
}

/// Dtype, whether it is trained, and bits of each parameter.
#[derive(Debug, PartialEq)]
struct Parameters(Vec<(ParamId, DType, bool, Vec<u32>)>);

impl ModuleVisitor<B> for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let data = param.to_data();
        let bits = data.iter::<f32>().map(f32::to_bits).collect();
        self.0
            .push((param.id, data.dtype, param.is_require_grad(), bits));
    }
}

fn parameters(layer: &impl Module<B>) -> Parameters {
    let mut found = Parameters(Vec::new());
    layer.visit(&mut found);
    found
}

fn bits<const D: usize>(tensor: Tensor<B, D>) -> Vec<u32> {
    tensor.into_data().iter::<f32>().map(f32::to_bits).collect()
}

/// What a layer computes, and what it and its optimizer are after a few updates.
fn future(mut layer: Layer, seed: u64) -> (Vec<u32>, Parameters, Vec<usize>) {
    let random = &mut stream(seed, Purpose::Draw, 0, 0);
    let first = bits(layer.forward(draw(5, SIZE[0], random)));
    let can_switch = layer.rank().is_some_and(|rank| rank < SIZE[1]);
    let schedule = match can_switch {
        true => SwitchSchedule::fixed(2.0),
        false => SwitchSchedule::Never,
    };
    let mut method = SwitchLoraConfig::new(Some(2), SwitchSchedule::Never).unwrap();
    (method.freeze, method.schedule, method.alpha) = (1, schedule, 7.0);
    let mut optimizer = ClipGradNorm::new(1.0, method.optimizer());
    let mut switched = Vec::new();
    for _ in 0..3 {
        let error = layer.forward(draw(8, SIZE[0], random)) - draw(8, SIZE[1], random);
        let gradients = error.square().sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &layer);
        layer = optimizer.step(0.01, layer, gradients);
        switched.push(optimizer.inner().last_switch_count());
    }
    (first, parameters(&layer), switched)
}

/// The layer with its parameters as f16 holds them.
fn halved(layer: Layer) -> Layer {
    struct Half;
    impl ModuleMapper<B> for Half {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            param.map(|tensor| {
                let (device, dtype) = (tensor.device(), tensor.dtype());
                let data = tensor
                    .to_data()
                    .convert::<burn::tensor::f16>()
                    .convert_dtype(dtype);
                let trained = tensor.is_require_grad();
                Tensor::from_data(data, (&device, dtype)).set_require_grad(trained)
            })
        }
    }
    layer.map(&mut Half)
}

/// The record of `from` through bytes.
fn through<
    Q: Recorder<B, RecordArgs = (), RecordOutput = Vec<u8>, LoadArgs = Vec<u8>>,
    R: Record<B>,
>(
    recorder: Q,
    record: impl Record<B>,
) -> Result<R, String> {
    let bytes = recorder
        .record(record, ())
        .map_err(|reason| reason.to_string())?;
    recorder
        .load(bytes, &Default::default())
        .map_err(|reason| reason.to_string())
}

fn loaded<S: PrecisionSettings>(from: &Layer, into: Layer, named: bool) -> Layer {
    let record = from.clone().into_record();
    let record = match named {
        true => through(NamedMpkBytesRecorder::<S>::default(), record),
        false => through(BinBytesRecorder::<S, Vec<u8>>::default(), record),
    };
    into.load_record(record.expect("a whole record"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_layer_becomes_the_recorded_one_whatever_it_was(x in config(), y in config(), seed: u64, named: bool, half: bool) {
        let (from, into) = (layer(&x, seed), layer(&y, seed ^ 1));
        let (found, expected) = match half {
            true => (loaded::<HalfPrecisionSettings>(&from, into, named), halved(from)),
            false => (loaded::<FullPrecisionSettings>(&from, into, named), from),
        };
        prop_assert_eq!(found.rank(), x.rank);
        prop_assert_eq!(found.scale.to_bits(), expected.scale.to_bits());
        prop_assert_eq!(parameters(&found), parameters(&expected));
        prop_assert_eq!(future(found, seed), future(expected, seed));
    }

    #[test]
    fn without_a_recorder_between_it_is_the_same(x in config(), y in config(), seed: u64) {
        let (from, into) = (layer(&x, seed), layer(&y, seed ^ 1));
        let found = into.load_record(from.clone().into_record());
        prop_assert_eq!(parameters(&found), parameters(&from));
        prop_assert_eq!(future(found, seed), future(from, seed));
    }

    #[test]
    fn saved_without_autodiff_loaded_with_it(x in config(), y in config(), seed: u64) {
        let from = layer(&x, seed);
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
        let bytes = Recorder::<Flex>::record(&recorder, from.valid().into_record(), ()).unwrap();
        let record = Recorder::<B>::load(&recorder, bytes, &Default::default()).unwrap();
        let found = layer(&y, seed ^ 1).load_record(record);
        prop_assert_eq!(future(found, seed), future(from, seed));
    }

    #[test]
    fn a_damaged_record_is_an_error_and_never_a_panic(
        x in config(), seed: u64, named: bool, at in any::<prop::sample::Index>(), flip in 1u8..255, cut: bool,
    ) {
        // Burn's recorders for bytes unwrap; those for files return errors.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer");
        let damage = |path: std::path::PathBuf| {
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            std::fs::write(path, bytes).unwrap();
        };
        let (layer, device) = (layer(&x, seed), Default::default());
        let load = || match named {
            true => {
                let recorder = NamedMpkFileRecorder::<FullPrecisionSettings>::default();
                layer.clone().save_file(path.clone(), &recorder).unwrap();
                damage(path.with_extension("mpk"));
                layer.clone().load_file(path.clone(), &recorder, &device).map(drop).is_ok()
            }
            false => {
                let recorder = BinFileRecorder::<FullPrecisionSettings>::default();
                layer.clone().save_file(path.clone(), &recorder).unwrap();
                damage(path.with_extension("bin"));
                layer.clone().load_file(path.clone(), &recorder, &device).map(drop).is_ok()
            }
        };
        let outcome = catch_unwind(AssertUnwindSafe(load));
        // A changed size that is still one of a layer is another layer's, and loading says so.
        if let Err(reason) = &outcome {
            let text = reason.downcast_ref::<String>().cloned().unwrap_or_default();
            prop_assert!(text.contains("cannot load a record into a SwitchLoraLinear"), "{}", text);
        }
        prop_assert!(!cut || !matches!(outcome, Ok(true)) || at.index(usize::MAX) > 0);
    }
}

#[test]
fn json_holds_the_scale_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    let recorder = PrettyJsonFileRecorder::<FullPrecisionSettings>::default();
    for rank in [3, 7] {
        let config = SwitchLoraLinearConfig::new(SIZE[0], SIZE[1]).with_rank(Some(rank));
        let layer = layer(&config.with_alpha(0.1), 3);
        layer.clone().save_file(path.clone(), &recorder).unwrap();
        let other = self::layer(&SwitchLoraLinearConfig::new(SIZE[0], SIZE[1]), 4);
        let found = other
            .load_file(path.clone(), &recorder, &Default::default())
            .unwrap();
        assert_eq!(future(found, 5), future(layer, 5));
    }
}

#[test]
fn a_linear_layer_and_a_layer_without_factors_load_each_other_by_name() {
    let (device, recorder) = (
        Default::default(),
        NamedMpkBytesRecorder::<FullPrecisionSettings>::default(),
    );
    let random = &mut stream(1, Purpose::Weights, 0, 0);
    let (linear, x) = (linear(true, random), draw(4, SIZE[0], random));
    let plain = SwitchLoraLinearConfig::new(SIZE[0], SIZE[1]);
    let record = through(recorder.clone(), linear.clone().into_record()).unwrap();
    let found = layer(&plain, 2).load_record(record);
    // The two layers add the bias in two ways; the same parameters are what counts.
    assert_eq!(parameters(&found), parameters(&linear));
    let record = through(recorder, found.clone().into_record()).unwrap();
    let back = LinearConfig::new(SIZE[0], SIZE[1])
        .init::<B>(&device)
        .load_record(record);
    assert_eq!(bits(back.forward(x.clone())), bits(linear.forward(x)));
}

#[test]
fn the_record_of_a_linear_layer_is_refused_by_a_layer_with_factors() {
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    let linear = linear(false, &mut stream(1, Purpose::Weights, 0, 0));
    let config = SwitchLoraLinearConfig::new(SIZE[0], SIZE[1]).with_rank(Some(4));
    let record = through(recorder, linear.into_record()).unwrap();
    let reason = layer(&config, 2).try_load_record(record).unwrap_err();
    assert_eq!(reason, LayerRecordError::Foreign(4));
    assert!(reason.to_string().contains("adapt()"), "{reason}");
}

#[test]
fn a_linear_layer_does_not_take_the_weight_beside_factors_for_its_own() {
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    let config = SwitchLoraLinearConfig::new(SIZE[0], SIZE[1]).with_rank(Some(4));
    let record = layer(&config, 2).into_record();
    let read = through::<_, <Linear<B> as Module<B>>::Record>(recorder, record);
    assert!(read.is_err());
}

#[test]
fn a_record_of_another_module_in_a_format_without_names_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, device) = (folder.path().join("linear"), Default::default());
    let recorder = BinFileRecorder::<FullPrecisionSettings>::default();
    let linear = linear(true, &mut stream(1, Purpose::Weights, 0, 0));
    linear.save_file(path.clone(), &recorder).unwrap();
    let plain = layer(&SwitchLoraLinearConfig::new(SIZE[0], SIZE[1]), 2);
    let reason = plain
        .load_file(path, &recorder, &device)
        .map(drop)
        .unwrap_err();
    assert!(reason.to_string().contains("SwitchLoraLinear"), "{reason}");
}

#[test]
fn a_record_of_an_earlier_version_whose_scale_nobody_knows_is_refused() {
    // The fields of the record as `derive(Module)` wrote them.
    #[derive(Module, Debug)]
    struct Earlier<B: burn::tensor::backend::Backend> {
        weight: Param<Tensor<B, 2>>,
        lora_a: Option<Param<Tensor<B, 2>>>,
        lora_b: Option<Param<Tensor<B, 2>>>,
        bias: Option<Param<Tensor<B, 1>>>,
        scale: f64,
        #[module(skip)]
        precision: Precision,
    }
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    for rank in [None, Some(4)] {
        let config = SwitchLoraLinearConfig::new(SIZE[0], SIZE[1]).with_rank(rank);
        let layer = layer(&config, 2);
        let earlier = Earlier {
            weight: layer.weight.clone(),
            lora_a: layer.lora_a.clone(),
            lora_b: layer.lora_b.clone(),
            bias: layer.bias.clone(),
            scale: layer.scale,
            precision: layer.precision,
        };
        let record = through(recorder.clone(), earlier.into_record());
        match (rank, record) {
            (None, Ok(record)) => assert_eq!(
                parameters(&self::layer(&config, 3).load_record(record)),
                parameters(&layer)
            ),
            (Some(_), Err(reason)) => assert!(reason.contains("no scale"), "{reason}"),
            (rank, record) => panic!("{rank:?}: {}", record.map(|_| "read").unwrap_or_default()),
        }
    }
}

#[test]
fn another_size_is_refused_with_both_sizes() {
    let config = |n, m| SwitchLoraLinearConfig::new(n, m).with_rank(Some(2));
    let device = Default::default();
    let (from, into) = (
        config(6, 4).init::<B>(&device),
        config(4, 6).init::<B>(&device),
    );
    let reason = into
        .try_load_record(from.into_record())
        .unwrap_err()
        .to_string();
    assert!(reason.contains("6 inputs and 4 outputs"), "{reason}");
    assert!(reason.contains("4 inputs and 6 outputs"), "{reason}");
}

#[test]
fn a_column_major_linear_layer_is_not_transposed_by_its_record() {
    let (device, side) = (Default::default(), 8);
    let linear = LinearConfig::new(side, side)
        .with_layout(LinearLayout::Col)
        .init::<B>(&device);
    let x = draw(3, side, &mut stream(1, Purpose::Weights, 0, 0));
    for rank in [None, Some(3)] {
        let config = SwitchLoraLinearConfig::new(side, side).with_rank(rank);
        let layer = config.adapt(linear.clone());
        let found = config
            .init::<B>(&device)
            .load_record(layer.clone().into_record());
        assert_eq!(
            bits(found.forward(x.clone())),
            bits(layer.forward(x.clone()))
        );
    }
}

#[test]
fn a_layer_that_its_user_froze_stays_frozen() {
    let config = |rank| {
        SwitchLoraLinearConfig::new(SIZE[0], SIZE[1])
            .with_rank(rank)
            .with_bias(true)
    };
    for (from, into) in [
        (None, Some(3)),
        (Some(3), None),
        (Some(2), Some(5)),
        (None, None),
    ] {
        let frozen = layer(&config(into), 1).no_grad();
        let found = frozen.load_record(layer(&config(from), 2).into_record());
        assert!(
            parameters(&found)
                .0
                .iter()
                .all(|(_, _, trained, _)| !trained)
        );
    }
}
