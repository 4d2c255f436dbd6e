//! Finding the SwitchLoRA layers of any Burn module by walking it.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The container type under which Burn's walk announces a [`SwitchLoraLinear`](crate::SwitchLoraLinear).
const CONTAINER: &str = "Struct:SwitchLoraLinear";

/// The three matrices of one layer, as they are in the module.
#[derive(Clone, Debug)]
pub struct LoraLayer<B: Backend> {
    /// Path of the layer in the module, `model.layers.0.mlp.up_proj`.
    pub path: String,
    /// The frozen weight, `[d_input, d_output]`.
    pub weight: (ParamId, Tensor<B, 2>),
    /// Side A, `[rank, d_input]`.
    pub a: (ParamId, Tensor<B, 2>),
    /// Side B, `[rank, d_output]`.
    pub b: (ParamId, Tensor<B, 2>),
}

impl<B: Backend> LoraLayer<B> {
    /// The rank `r`.
    pub fn rank(&self) -> usize {
        self.a.1.dims()[0]
    }

    /// `[d_input, d_output]`.
    pub fn shape(&self) -> [usize; 2] {
        self.weight.1.dims()
    }
}

/// Every [`SwitchLoraLinear`](crate::SwitchLoraLinear) with factors in `module`, in the order of the walk.
pub fn lora_layers<B: Backend, M: Module<B>>(module: &M) -> Vec<LoraLayer<B>> {
    let mut finder = Finder::<B> {
        place: Place::default(),
        weight: None,
        a: None,
        found: Vec::new(),
    };
    module.visit(&mut finder);
    finder.found
}

/// The weight of a layer without factors, which is trained as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainWeight {
    /// Path of the layer in the module.
    pub path: String,
    /// Its id in the module.
    pub id: ParamId,
    /// `[d_input, d_output]`.
    pub shape: [usize; 2],
}

/// The weights of every [`SwitchLoraLinear`](crate::SwitchLoraLinear) without factors in `module`, in the order of the walk.
pub fn plain_weights<B: Backend, M: Module<B>>(module: &M) -> Vec<PlainWeight> {
    let mut finder = PlainFinder::default();
    module.visit(&mut finder);
    finder.found
}

/// Where in a module a walk is.
#[derive(Default)]
struct Place {
    /// Name and container type of each module entered, the innermost last.
    stack: Vec<(String, String)>,
}

impl Place {
    fn enter(&mut self, name: &str, container: &str) {
        self.stack.push((name.to_owned(), container.to_owned()));
    }

    fn exit(&mut self) {
        self.stack.pop();
    }

    /// Path of the layer and name of its field, if the parameter here, of `D` dimensions, is a matrix of a layer.
    fn field_of_layer<const D: usize>(&self) -> Option<(String, &str)> {
        let ((field, container), parents) = self.stack.split_last()?;
        if container != CONTAINER || D != 2 {
            return None;
        }
        let path: Vec<&str> = parents.iter().map(|(name, _)| name.as_str()).collect();
        Some((path.join("."), field))
    }
}

#[derive(Default)]
struct PlainFinder {
    place: Place,
    found: Vec<PlainWeight>,
}

impl<B: Backend> ModuleVisitor<B> for PlainFinder {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some((path, field)) = self.place.field_of_layer::<D>() else {
            return;
        };
        let shape = param.dims();
        match field {
            "weight" => self.found.push(PlainWeight {
                path,
                id: param.id,
                shape: [shape[0], shape[D - 1]],
            }),
            // The layer has factors after all: they come after its weight.
            "lora_a" => self.found.retain(|weight| weight.path != path),
            _ => {}
        }
    }
}

struct Finder<B: Backend> {
    place: Place,
    weight: Option<(ParamId, Tensor<B, 2>)>,
    a: Option<(ParamId, Tensor<B, 2>)>,
    found: Vec<LoraLayer<B>>,
}

impl<B: Backend> ModuleVisitor<B> for Finder<B> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some((path, field)) = self.place.field_of_layer::<D>() else {
            return;
        };
        let matrix = (
            param.id,
            Tensor::<B, 2>::from_primitive(param.val().into_primitive()),
        );
        // The fields come in the order weight, lora_a, lora_b.
        match field {
            "weight" => self.weight = Some(matrix),
            "lora_a" => self.a = Some(matrix),
            "lora_b" => {
                if let (Some(weight), Some(a)) = (self.weight.take(), self.a.take()) {
                    self.found.push(LoraLayer {
                        path,
                        weight,
                        a,
                        b: matrix,
                    });
                }
            }
            _ => {}
        }
    }
}
