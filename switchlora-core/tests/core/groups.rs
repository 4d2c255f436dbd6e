//! Parameter groups: what a rule says of a parameter is what happens to it, by every method, on layers and on plain weights.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_flex::Flex;
use proptest::prelude::*;
use std::collections::BTreeMap;
use switchlora_core::init::uniform;
use switchlora_core::{
    ClipGradNorm, Group, Method, MethodConfig, MethodOptimizer, Purpose, StateError,
    SwitchLoraLinear, SwitchSchedule, Weights, stream,
};

type B = Autodiff<Flex>;

const N: usize = 7;
const M: usize = 5;

#[derive(Module, Debug)]
struct Model<B: Backend> {
    layer: SwitchLoraLinear<B>,
    norm: LayerNorm<B>,
    output: Linear<B>,
}

#[derive(Clone, Debug)]
struct Case {
    method: MethodConfig,
    plain: bool,
    on_device: bool,
    decay: f64,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let method = prop::sample::select(Method::ALL.to_vec());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<u64>());
    (method, flags).prop_map(|(method, (plain, on_device, decays, seed))| {
        let mut method = MethodConfig::new(method, 2, SwitchSchedule::fixed(10.0)).unwrap();
        let decay = if decays { 0.25 } else { 0.0 };
        for adamw in [&mut method.layers.adamw, &mut method.galore.adamw] {
            adamw.weight_decay = decay;
        }
        Case {
            method,
            plain,
            on_device,
            decay,
            seed,
        }
    })
}

/// Each parameter, bit for bit.
#[derive(Default)]
struct Values {
    path: Vec<String>,
    found: BTreeMap<String, Vec<u32>>,
}

impl<B: Backend> ModuleVisitor<B> for Values {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let data = param.val().into_data();
        // Nothing added to a negative zero is a positive one.
        let bits = data.iter::<f32>().map(|value| (value + 0.0).to_bits());
        self.found.insert(self.path.join("."), bits.collect());
    }
}

fn values(model: &Model<B>) -> BTreeMap<String, Vec<u32>> {
    let mut values = Values::default();
    model.valid().visit(&mut values);
    values.found
}

impl Case {
    fn model(&self) -> Model<B> {
        let device = Default::default();
        let random = &mut stream(self.seed, Purpose::Weights, 0, 0);
        let linear = Linear {
            weight: Param::from_data(uniform(N, M, 0.8, random), &device),
            bias: None,
        };
        let mut layers = self.method.layers.clone();
        if self.plain {
            layers.rank = None;
        }
        let mut output = LinearConfig::new(M, 3).init(&device);
        output.weight = Param::from_data(uniform(M, 3, 0.8, random), &device);
        output.bias = Some(Param::from_tensor(Tensor::full([3], 0.5, &device)));
        Model {
            layer: layers.linear(N, M).adapt_from(linear, random),
            norm: LayerNormConfig::new(M).init(&device),
            output,
        }
    }

    fn optimizer(&self) -> MethodOptimizer<Model<B>, B> {
        match self.plain {
            true => self.method.optimizer().on_weights(Weights::linear(2)),
            false => self.method.optimizer(),
        }
    }

    /// The parameters after three updates.
    fn trained(
        &self,
        rate: f64,
        groups: Option<fn(&str, &[usize]) -> Group>,
    ) -> BTreeMap<String, Vec<u32>> {
        let mut model = self.model();
        let optimizer = match groups {
            Some(rule) => self.optimizer().with_groups(rule),
            None => self.optimizer(),
        };
        let mut optimizer =
            ClipGradNorm::new(1.0, optimizer).with_decision_on_device(self.on_device);
        for update in 0..3 {
            let random = &mut stream(self.seed, Purpose::Draw, 1, update);
            let x = Tensor::<B, 2>::from_data(uniform(4, N, 1.0, random), &Default::default());
            let y = model
                .output
                .forward(model.norm.forward(model.layer.forward(x)));
            let gradients = GradientsParams::from_grads(y.square().mean().backward(), &model);
            model = optimizer.step(rate, model, gradients);
        }
        values(&model)
    }
}

fn half(_path: &str, _shape: &[usize]) -> Group {
    Group {
        rate: 0.5,
        weight_decay: None,
    }
}

fn vectors_as_usual(_path: &str, shape: &[usize]) -> Group {
    Group {
        weight_decay: (shape.len() == 1).then_some(0.0),
        ..Group::default()
    }
}

fn only_the_norm(path: &str, _shape: &[usize]) -> Group {
    Group {
        rate: if path.starts_with("norm.") { 1.0 } else { 0.0 },
        weight_decay: Some(0.0),
    }
}

fn decayed_bias(path: &str, _shape: &[usize]) -> Group {
    Group {
        weight_decay: (path == "output.bias").then_some(0.5),
        ..Group::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_group_of_half_the_rate_is_half_the_rate(case in case()) {
        prop_assert_eq!(case.trained(0.02, Some(half)), case.trained(0.01, None));
    }

    #[test]
    fn norms_and_biases_do_not_decay_unless_a_group_says_so(case in case()) {
        let usual = case.trained(0.02, None);
        prop_assert_eq!(&usual, &case.trained(0.02, Some(vectors_as_usual)));
        // Only the bias of the output, on whose value no other gradient depends before the second update.
        let decayed = case.trained(0.02, Some(decayed_bias));
        prop_assert_ne!(&usual["output.bias"], &decayed["output.bias"]);
        let mut all = case.clone();
        for adamw in [&mut all.method.layers.adamw, &mut all.method.galore.adamw] {
            adamw.decay_matrices_only = false;
        }
        let all = all.trained(0.02, None);
        prop_assert_eq!(usual["output.bias"] == all["output.bias"], case.decay == 0.0);
    }

    #[test]
    fn a_group_of_no_rate_stays_as_it_is_whatever_trains_it(case in case()) {
        let (before, after) = (values(&case.model()), case.trained(0.02, Some(only_the_norm)));
        for (path, bits) in &before {
            // Muon and AdamW move what has a gradient; a switch moves only where factors meet frozen weights.
            let moves = path.starts_with("norm.");
            let switches = path.starts_with("layer.") && !case.plain && case.method.method == Method::SwitchLora;
            prop_assert!(switches || (&after[path] != bits) == moves, "{path}");
        }
    }
}

#[test]
fn a_group_out_of_range_is_named_before_anything_is_trained() {
    let case = Case {
        method: MethodConfig::new(Method::Lora, 2, SwitchSchedule::Never).unwrap(),
        plain: false,
        on_device: false,
        decay: 0.0,
        seed: 1,
    };
    for (rate, weight_decay, key) in [
        (f64::NAN, None, "rate"),
        (-1.0, None, "rate"),
        (1.0, Some(f64::INFINITY), "weight_decay"),
    ] {
        let rule = move |path: &str, _: &[usize]| match path {
            "norm.gamma" => Group { rate, weight_decay },
            _ => Group::default(),
        };
        let wrong = case
            .optimizer()
            .with_groups(rule)
            .try_prepare(&case.model());
        let wrong = wrong.unwrap_err();
        assert!(matches!(wrong, StateError::Group { .. }));
        let text = wrong.to_string();
        assert!(text.contains("norm.gamma") && text.contains(key), "{text}");
    }
}
