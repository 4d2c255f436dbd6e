//! How much memory an update needs beside the state of a training.

use burn::backend::Autodiff;
use burn::module::{Module, ParamId};
use burn::nn::LinearConfig;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_flex::Flex;
use peak_alloc::PeakAlloc;
use switchlora_core::init::uniform;
use switchlora_core::{
    Candidates, ClipGradNorm, Method, MethodConfig, MethodOptimizer, Purpose, ReLoraConfig,
    SwitchLoraLinear, SwitchSchedule, lora_layers, stream,
};

type B = Autodiff<Flex>;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const SHAPE: [usize; 2] = [384, 256];
const RANK: usize = 64;
/// Of one layer: its weight, its factors, and their moments.
const LAYER: usize = 4 * (SHAPE[0] * SHAPE[1] + 3 * RANK * (SHAPE[0] + SHAPE[1]));

#[derive(Module, Debug)]
struct Net<B: Backend> {
    layers: Vec<SwitchLoraLinear<B>>,
}

/// Every method, with what it does now and then in each update from the second on.
fn methods() -> Vec<(&'static str, MethodConfig)> {
    let of = |method, schedule| MethodConfig::new(method, RANK, schedule).unwrap();
    let often = SwitchSchedule::fixed(10.0);
    let switches = |candidates| {
        let mut method = of(Method::SwitchLora, often);
        method.layers.candidates = candidates;
        method
    };
    let mut orthogonal = switches(Candidates::Drawn);
    orthogonal.layers.orthogonal = Some(Default::default());
    let mut relora = of(Method::ReLora, SwitchSchedule::Never);
    relora.relora = ReLoraConfig::new(1).unwrap();
    let mut galore = of(Method::GaLore, SwitchSchedule::Never);
    galore.galore.gap = 1;
    vec![
        ("full", of(Method::Full, SwitchSchedule::Never)),
        ("muon", of(Method::Muon, SwitchSchedule::Never)),
        ("lora", of(Method::Lora, SwitchSchedule::Never)),
        ("relora", relora),
        ("galore", galore),
        ("pools", switches(Candidates::Drawn)),
        ("fresh", switches(Candidates::Fresh)),
        ("by gradient", switches(Candidates::Gradient)),
        ("orthogonal", orthogonal),
    ]
}

/// A gradient for each trained parameter.
fn gradients(net: &Net<B>, update: u64) -> GradientsParams {
    let mut gradients = GradientsParams::new();
    let mut random = stream(0, Purpose::Weights, 0, update);
    let mut add = |id: ParamId, [rows, columns]: [usize; 2]| {
        let data = uniform(rows, columns, 1.0, &mut random);
        gradients.register::<Flex, 2>(id, Tensor::from_data(data, &Default::default()));
    };
    match lora_layers(net).is_empty() {
        true => net
            .layers
            .iter()
            .for_each(|layer| add(layer.weight.id, SHAPE)),
        false => lora_layers(net).iter().for_each(|layer| {
            for factor in [&layer.a, &layer.b] {
                add(factor.id, factor.value.dims());
            }
        }),
    }
    gradients
}

/// The most bytes during six updates beside the most before and after them, for a model of so many layers.
fn beside_the_state(method: &MethodConfig, layers: usize) -> usize {
    let device = Default::default();
    let mut random = stream(0, Purpose::Weights, 0, 0);
    let layer = |_| {
        let linear = LinearConfig::new(SHAPE[0], SHAPE[1]).with_bias(false);
        let layer = method.layers.linear(SHAPE[0], SHAPE[1]);
        layer.adapt_from(linear.init(&device), &mut random)
    };
    let mut net = Net {
        layers: (0..layers).map(layer).collect(),
    };
    let optimizer: MethodOptimizer<Net<B>, B> = method.optimizer();
    let mut optimizer = ClipGradNorm::new(1.0, optimizer);
    ALLOCATOR.reset_peak_usage();
    let mut held = 0;
    for update in 0..6 {
        let gradients = gradients(&net, update);
        held = held.max(ALLOCATOR.current_usage());
        net = optimizer.step(1e-3, net, gradients);
        held = held.max(ALLOCATOR.current_usage());
    }
    ALLOCATOR.peak_usage() - held
}

#[test]
fn what_an_update_needs_beside_its_state_hardly_grows_with_the_number_of_layers() {
    // Each thread has a workspace for decompositions, and more layers than threads are the case here.
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2);
    threads.build_global().unwrap();
    for (name, method) in methods() {
        let [few, many] = [8, 40].map(|layers| beside_the_state(&method, layers));
        let each = many.saturating_sub(few) as f64 / 32.0 / LAYER as f64;
        // Where vectors are switched, a tenth of them in each update here, they are held until all of them are planned.
        assert!(each < 0.15, "{name}: {each:.3} of each layer");
    }
}
