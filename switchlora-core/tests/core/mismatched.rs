//! An optimizer, a rule, a state and a module that do not belong together: refused, or remarked, and never a panic.

use burn::backend::Autodiff;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsAccumulator, GradientsParams, Optimizer};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Distribution, Tensor};
use burn_flex::Flex;
use switchlora_core::{
    Method, MethodConfig, MethodOptimizer, StateError, SwitchLoraConfig, SwitchLoraLinear,
    SwitchSchedule, Weights,
};

type B = Autodiff<Flex>;

const SCHEDULE: SwitchSchedule = SwitchSchedule::Fixed { interval: 10.0 };

/// Plain layers of Burn's; the last one is the output layer.
#[derive(Module, Debug)]
struct Plain<B: Backend> {
    up: Linear<B>,
    down: Linear<B>,
    output: Linear<B>,
}

impl Plain<B> {
    fn new() -> Self {
        let layer =
            |d_input, d_output| LinearConfig::new(d_input, d_output).init(&Default::default());
        Self {
            up: layer(9, 14),
            down: layer(14, 6),
            output: layer(6, 4),
        }
        // Burn draws a parameter when it is first used.
        .fork(&Default::default())
    }

    fn gradients(&self) -> GradientsParams {
        let x = Tensor::<B, 2>::random([5, 9], Distribution::Default, &Default::default());
        let y = self.output.forward(self.down.forward(self.up.forward(x)));
        GradientsParams::from_grads(y.square().mean().backward(), self)
    }
}

type PlainOptimizer = MethodOptimizer<Plain<B>, B>;

fn optimizer(method: Method) -> PlainOptimizer {
    let method = MethodConfig::new(method, 2, SCHEDULE).unwrap();
    method.optimizer::<Plain<B>, B>()
}

fn of_all_steps(
    mut optimizer: PlainOptimizer,
    mut model: Plain<B>,
) -> (PlainOptimizer, Plain<B>, Vec<String>) {
    let mut remarks = Vec::new();
    for _ in 0..3 {
        let gradients = model.gradients();
        model = optimizer.step(1e-2, model, gradients);
        remarks.extend(optimizer.remarks());
    }
    (optimizer, model, remarks)
}

#[test]
fn what_is_trained_twice_or_in_other_numbers_is_named() {
    let refused = |model: &Plain<B>| {
        let error = optimizer(Method::Full).try_prepare(model).unwrap_err();
        error.to_string()
    };
    // A copy of a module has the ids of the first.
    let mut model = Plain::new();
    model.output = model.down.clone();
    let said = refused(&model);
    assert!(
        said.contains("down.weight and layer output.weight"),
        "{said}"
    );
    for dtype in [DType::BF16, DType::F64] {
        let mut model = Plain::new();
        let weight = model.down.weight.val().inner().cast(dtype);
        model.down.weight = Param::from_tensor(Tensor::from_inner(weight));
        let said = refused(&model);
        let expected = format!("down.weight is {dtype:?}: all that is trained must be f32");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn a_state_of_another_method_is_refused_or_remarked() {
    for saved_by in Method::ALL {
        let of_rule = |method| optimizer(method).on_weights(Weights::linear(2));
        let (saved, model, _) = of_all_steps(of_rule(saved_by), Plain::new());
        for loaded_by in Method::ALL {
            let mut loaded = of_rule(loaded_by).load_record(saved.to_record());
            let what = format!("{} in {}", saved_by.name(), loaded_by.name());
            match loaded.try_prepare(&model) {
                Ok(()) => {
                    let (_, _, remarks) = of_all_steps(loaded, model.clone());
                    let said = remarks.iter().any(|remark| remark.contains("state"));
                    let same =
                        saved_by == loaded_by || [saved_by, loaded_by].iter().all(|m| m.freezes());
                    assert!(said != same, "{what}: {remarks:?}");
                }
                Err(reason) => {
                    assert_ne!(saved_by, loaded_by);
                    assert!(
                        !reason.to_string().contains("on_weights"),
                        "{what}: {reason}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_state_with_held_factors_needs_a_rule_or_another_method() {
    let (saved, model, _) = of_all_steps(
        optimizer(Method::SwitchLora).on_weights(Weights::linear(2)),
        Plain::new(),
    );
    let refused = |optimizer: PlainOptimizer| {
        let error = optimizer.load_record(saved.to_record()).try_prepare(&model);
        error.unwrap_err().to_string()
    };
    assert!(refused(optimizer(Method::SwitchLora)).contains("name the weights with on_weights"));
    let full = refused(optimizer(Method::Full).on_weights(Weights::linear(2)));
    assert!(full.contains("the method that it was saved by"), "{full}");
}

#[test]
fn a_module_with_nothing_for_the_method_is_remarked() {
    for method in Method::ALL {
        let (_, _, remarks) = of_all_steps(optimizer(method), Plain::new());
        let nothing = remarks
            .iter()
            .filter(|remark| remark.contains("every parameter is trained by AdamW"));
        assert_eq!(
            nothing.count(),
            usize::from(method != Method::Full),
            "{}: {remarks:?}",
            method.name()
        );
    }
}

#[test]
fn a_rule_gives_the_rank_also_where_the_configuration_has_none() {
    let method = SwitchLoraConfig::new(None, SCHEDULE).unwrap();
    let mut optimizer = method
        .optimizer::<Plain<B>, B>()
        .on_weights(Weights::linear(3));
    let held = optimizer.held_layers(&Plain::new()).unwrap();
    assert_eq!(
        held.iter().map(|layer| layer.rank()).collect::<Vec<_>>(),
        [3, 3]
    );
    // Without a schedule it is full-rank training, in which names only have a learning rate of their own.
    let method = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
    let mut optimizer = method
        .optimizer::<Plain<B>, B>()
        .on_weights(Weights::linear(3));
    assert!(optimizer.held_layers(&Plain::new()).unwrap().is_empty());
}

#[test]
fn named_weights_without_a_gradient_are_remarked() {
    let model = Plain::new();
    let mut optimizer = optimizer(Method::Lora).on_weights(Weights::linear(2));
    optimizer.try_hold(&model).unwrap();
    let lost = |remarks: Vec<String>| {
        remarks
            .iter()
            .any(|remark| remark.contains("GradientsAccumulator"))
    };
    let mut sum = GradientsAccumulator::new();
    sum.accumulate(&model, model.gradients());
    let model = optimizer.step(1e-2, model, sum.grads());
    assert!(!lost(optimizer.remarks()));
    let projected = optimizer.project(&model, model.gradients());
    sum.accumulate(&model, projected);
    let model = optimizer.step(1e-2, model, sum.grads());
    assert!(lost(optimizer.remarks()));
    let projected = optimizer.project(&model, model.gradients());
    optimizer.step(1e-2, model, projected);
    assert!(!lost(optimizer.remarks()));
}

/// One layer that has factors and one that has not.
#[derive(Module, Debug)]
struct Mixed<B: Backend> {
    own: SwitchLoraLinear<B>,
    plain: Linear<B>,
}

#[test]
fn a_rule_that_names_layers_with_factors_of_their_own_leaves_those_to_themselves() {
    let method = SwitchLoraConfig::new(Some(2), SCHEDULE).unwrap();
    let model = Mixed::<B> {
        own: method.linear(9, 14).init(&Default::default()),
        plain: LinearConfig::new(14, 6).init(&Default::default()),
    };
    let mut optimizer = method
        .optimizer::<Mixed<B>, B>()
        .on_weights(Weights::matching(|_, _| Some(2)));
    let held = optimizer.held_layers(&model).unwrap();
    assert_eq!(
        held.iter().map(|layer| &*layer.path).collect::<Vec<_>>(),
        ["plain"]
    );
    optimizer.step(1e-2, model, GradientsParams::new());
    let said = optimizer.remarks();
    assert!(
        said.iter()
            .any(|remark| remark.contains("names 1 of the module, from plain to plain")),
        "{said:?}"
    );
}

#[test]
fn a_weight_that_two_modules_share_is_refused_by_their_names() {
    let model = Plain::<B> {
        up: LinearConfig::new(6, 6).init(&Default::default()),
        ..Plain::new()
    };
    let tied = Plain {
        down: model.up.clone(),
        ..model
    };
    for method in Method::ALL {
        let mut optimizer = optimizer(method).on_weights(Weights::linear(2));
        let shared = StateError::Shared {
            first: "up".into(),
            second: "down".into(),
        };
        assert_eq!(optimizer.try_prepare(&tied), Err(shared));
    }
}
