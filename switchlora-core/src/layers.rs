//! Finding the SwitchLoRA layers of any Burn module by walking it.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// The container type under which Burn's walk announces a [`SwitchLoraLinear`](crate::SwitchLoraLinear).
const CONTAINER: &str = "Struct:SwitchLoraLinear";

/// A matrix of a layer: its id in the module, and its value.
#[derive(Clone, Debug)]
pub struct LayerMatrix<B: Backend> {
    /// The id of the parameter.
    pub id: ParamId,
    /// The value of the parameter.
    pub value: Tensor<B, 2>,
}

/// The three matrices of one layer, as they are in the module.
#[derive(Clone, Debug)]
pub struct LoraLayer<B: Backend> {
    /// Path of the layer in the module, `model.layers.0.mlp.up_proj`.
    pub path: String,
    /// The frozen weight, `[d_input, d_output]`.
    pub weight: LayerMatrix<B>,
    /// Side A, `[rank, d_input]`.
    pub a: LayerMatrix<B>,
    /// Side B, `[rank, d_output]`.
    pub b: LayerMatrix<B>,
}

impl<B: Backend> LoraLayer<B> {
    /// The rank `r`.
    pub fn rank(&self) -> usize {
        self.a.value.dims()[0]
    }

    /// `[d_input, d_output]`.
    pub fn shape(&self) -> [usize; 2] {
        self.weight.value.dims()
    }
}

/// The weight of a layer without factors, which is trained as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainWeight {
    /// Path of the layer in the module.
    pub path: String,
    /// Its id in the module.
    pub id: ParamId,
    /// `[d_input, d_output]`.
    pub shape: [usize; 2],
}

/// Every [`SwitchLoraLinear`](crate::SwitchLoraLinear) with factors in `module`, in the order of the walk.
pub fn lora_layers<B: Backend, M: Module<B>>(module: &M) -> Vec<LoraLayer<B>> {
    Layers::of(module).lora
}

/// Every [`SwitchLoraLinear`](crate::SwitchLoraLinear) of a module, in the order of the walk.
#[derive(Default)]
pub(crate) struct Layers<B: Backend> {
    /// Those with factors.
    pub lora: Vec<LoraLayer<B>>,
    /// The weights of those without.
    pub plain: Vec<PlainWeight>,
}

impl<B: Backend> Layers<B> {
    /// Finds them.
    pub fn of<M: Module<B>>(module: &M) -> Self {
        let mut finder = Finder::default();
        module.visit(&mut finder);
        let mut layers = Self::default();
        for found in finder.found {
            match (found.a, found.b) {
                (Some(a), Some(b)) => layers.lora.push(LoraLayer {
                    path: found.path,
                    weight: found.weight,
                    a,
                    b,
                }),
                _ => layers.plain.push(PlainWeight {
                    path: found.path,
                    id: found.weight.id,
                    shape: found.weight.value.dims(),
                }),
            }
        }
        layers
    }
}

impl<B: AutodiffBackend> Layers<B> {
    /// The same layers without autodiff.
    pub fn inner(self) -> Layers<B::InnerBackend> {
        let inner = |LayerMatrix { id, value }| LayerMatrix {
            id,
            value: Tensor::<B, 2>::inner(value),
        };
        let lora = self.lora.into_iter().map(|layer| {
            let [weight, a, b] = [layer.weight, layer.a, layer.b].map(inner);
            let path = layer.path;
            LoraLayer { path, weight, a, b }
        });
        Layers {
            lora: lora.collect(),
            plain: self.plain,
        }
    }
}

/// The matrices of one layer found so far.
struct Found<B: Backend> {
    path: String,
    weight: LayerMatrix<B>,
    a: Option<LayerMatrix<B>>,
    b: Option<LayerMatrix<B>>,
}

#[derive(Default)]
struct Finder<B: Backend> {
    /// Name and container type of each module entered, the innermost last.
    stack: Vec<(String, String)>,
    found: Vec<Found<B>>,
}

impl<B: Backend> ModuleVisitor<B> for Finder<B> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.push((name.to_owned(), container.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(((field, container), parents)) = self.stack.split_last() else {
            return;
        };
        if container != CONTAINER || D != 2 {
            return;
        }
        let matrix = LayerMatrix {
            id: param.id,
            value: Tensor::from_primitive(param.val().into_primitive()),
        };
        // The fields come in the order weight, lora_a, lora_b.
        match (field.as_str(), self.found.last_mut()) {
            ("weight", _) => {
                let path: Vec<&str> = parents.iter().map(|(name, _)| name.as_str()).collect();
                self.found.push(Found {
                    path: path.join("."),
                    weight: matrix,
                    a: None,
                    b: None,
                });
            }
            ("lora_a", Some(layer)) => layer.a = Some(matrix),
            ("lora_b", Some(layer)) => layer.b = Some(matrix),
            _ => {}
        }
    }
}
