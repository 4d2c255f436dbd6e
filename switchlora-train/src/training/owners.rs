//! Which process keeps the moments of a parameter, where they are [divided](Moments::Divided), and updates it.

use crate::model::NamedTensor;
use crate::processes::Moments;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::collections::HashMap;

/// The owner of each trained parameter.
///
/// The parameters of one layer (a norm, an embedding, the two factors of a projection) have one owner: what a method draws
/// for them comes from one stream of random numbers. The layers go, the largest first, to whoever has least so far, so it
/// follows from the module alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owners(HashMap<ParamId, usize>);

impl Owners {
    /// The owners of the parameters of `module` among so many processes; `None` where moments are not divided.
    pub fn of<B: Backend, M: Module<B>>(
        moments: Moments,
        module: &M,
        processes: usize,
    ) -> Option<Self> {
        if moments == Moments::Whole || processes == 1 {
            return None;
        }
        let mut walk = Walk::default();
        module.visit(&mut Visit::<B>(&mut walk, std::marker::PhantomData));
        let mut layers: Vec<&Layer> = walk.layers.iter().collect();
        // A stable sort: equal ones stay in the order of the walk.
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.values));
        let mut share = vec![0; processes];
        let mut owners = HashMap::new();
        for layer in layers {
            let least = (0..processes).min_by_key(|&process| share[process]);
            let owner = least.unwrap_or(0);
            share[owner] += layer.values;
            owners.extend(layer.parameters.iter().map(|&id| (id, owner)));
        }
        Some(Self(owners))
    }

    /// Whether the process of this rank owns the parameter with this name among `names`.
    pub fn has(&self, rank: usize, name: &str, names: &[NamedTensor]) -> bool {
        let id = names.iter().find(|named| named.name == name);
        id.and_then(|named| self.owner(named.id)) == Some(rank)
    }

    /// The process that owns a parameter; `None` if the parameter is not trained.
    pub fn owner(&self, parameter: ParamId) -> Option<usize> {
        self.0.get(&parameter).copied()
    }
}

/// Trained parameters that stay together.
#[derive(Default)]
struct Layer {
    parameters: Vec<ParamId>,
    values: usize,
}

/// The layers found so far, and for each module entered the layer of its own parameters.
#[derive(Default)]
struct Walk {
    layers: Vec<Layer>,
    entered: Vec<Option<usize>>,
}

struct Visit<'a, B>(&'a mut Walk, std::marker::PhantomData<B>);

impl<B: Backend> ModuleVisitor<B> for Visit<'_, B> {
    fn enter_module(&mut self, _name: &str, _container: &str) {
        self.0.entered.push(None);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.0.entered.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if !param.is_require_grad() {
            return;
        }
        let Walk { layers, entered } = &mut *self.0;
        // Each parameter is entered too: the module that it is of is the one before.
        let module = entered.len().checked_sub(2).map(|at| &mut entered[at]);
        let mut alone = None;
        let layer = *module.unwrap_or(&mut alone).get_or_insert_with(|| {
            layers.push(Layer::default());
            layers.len() - 1
        });
        let layer = &mut layers[layer];
        layer.parameters.push(param.id);
        layer.values += param.val().shape().num_elements();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LlamaConfig, LlamaForCausalLm, parameter_names};
    use burn::backend::Autodiff;
    use burn_flex::Flex;
    use switchlora_core::{SwitchLoraConfig, SwitchSchedule};

    type B = Autodiff<Flex>;

    fn model(rank: Option<usize>) -> LlamaForCausalLm<B> {
        let config = LlamaConfig {
            vocab_size: 50,
            ..LlamaConfig::preset("tiny").unwrap()
        };
        let method = SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap();
        LlamaForCausalLm::new(&config, &method, 1, &Default::default())
    }

    #[test]
    fn factors_of_a_layer_stay_together_and_all_have_about_the_same() {
        for rank in [None, Some(8)] {
            let model = model(rank);
            let owners = Owners::of::<B, _>(Moments::Divided, &model, 4).unwrap();
            let again = Owners::of::<B, _>(Moments::Divided, &model, 4).unwrap();
            assert_eq!(owners, again);
            let names = parameter_names::<B, _>(&model);
            let owner = |name: &str| {
                let named = names.iter().find(|named| named.name == name);
                owners.owner(named.unwrap().id)
            };
            for named in names.iter().filter(|named| named.name.ends_with("lora_A")) {
                let b = named.name.replace("lora_A", "lora_B");
                assert_eq!(owner(&named.name), owner(&b));
                assert_eq!(owner(&named.name.replace("lora_A", "weight")), None);
                assert!(owner(&b).is_some());
            }
            let mut share = [0; 4];
            let mut walk = Walk::default();
            Module::<B>::visit(&model, &mut Visit::<B>(&mut walk, std::marker::PhantomData));
            let largest = walk.layers.iter().map(|layer| layer.values).max().unwrap();
            for layer in &walk.layers {
                share[owners.owner(layer.parameters[0]).unwrap()] += layer.values;
            }
            let (least, most) = (share.iter().min().unwrap(), share.iter().max().unwrap());
            assert!(most - least <= largest, "{share:?}");
            assert!(*least > 0);
        }
        assert_eq!(Owners::of::<B, _>(Moments::Divided, &model(None), 1), None);
        assert_eq!(Owners::of::<B, _>(Moments::Whole, &model(None), 4), None);
    }
}
