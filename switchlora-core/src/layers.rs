//! Finding the SwitchLoRA layers of any Burn module by walking it.

use crate::config_error::named;
use crate::cost::LinearShape;
use crate::linear::announced;
use crate::state_error::StateError;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use hashbrown::{HashMap, HashSet};

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
    /// The frozen weight, `[d_input, d_output]`; where the optimizer holds the factors, the module's plain one, `W + s AᵀB`.
    pub weight: LayerMatrix<B>,
    /// Side A, `[rank, d_input]`.
    pub a: LayerMatrix<B>,
    /// Side B, `[rank, d_output]`.
    pub b: LayerMatrix<B>,
    /// `s`, the factor of `AᵀB`: the layer's own.
    pub scale: f64,
    /// Whether both factors require gradients; without autodiff none does.
    pub trained: bool,
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

    /// Its size.
    pub(crate) fn size(&self) -> LinearShape {
        let [d_input, d_output] = self.shape();
        LinearShape { d_input, d_output }
    }
}

/// The remark that a method trains factors where it should train weights.
pub(crate) fn frozen_beside_factors<B: Backend>(layers: &[LoraLayer<B>]) -> String {
    let (number, first) = (layers.len(), layers.first().map(|layer| named(&layer.path)));
    format!(
        "{number} layers have factors, the first is {}: their weights stay frozen, the factors are trained by AdamW",
        first.unwrap_or_default()
    )
}

/// What a person should know of the layers where a method trains their weights: that they have factors beside them, or that
/// there is none.
pub(crate) fn without_weights<B: Backend>(layers: &Layers<B>) -> Option<String> {
    match (layers.lora.is_empty(), layers.plain.is_empty()) {
        (false, _) => Some(frozen_beside_factors(&layers.lora)),
        (true, true) => Some(
            "the module has no layer whose weight the method trains: every parameter is trained by AdamW (on_weights names \
             weights of any module)"
                .to_owned(),
        ),
        (true, false) => None,
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
    /// A rank of its own, from a rule.
    pub rank: Option<usize>,
}

impl PlainWeight {
    /// Its gradient, `[d_input, d_output]`, if there is one. That of a convolution is a matrix like the weight.
    pub fn gradient<B: Backend>(&self, gradients: &GradientsParams) -> Option<Tensor<B, 2>> {
        let gradient = gradients.get::<B, 2>(self.id)?;
        Some(gradient.reshape(self.shape))
    }

    /// As [`gradient`](Self::gradient), which is taken out.
    pub fn take_gradient<B: Backend>(
        &self,
        gradients: &mut GradientsParams,
    ) -> Option<Tensor<B, 2>> {
        let gradient = gradients.remove::<B, 2>(self.id)?;
        Some(gradient.reshape(self.shape))
    }
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
            let (path, scale) = (found.path, found.scale);
            match (found.weight, found.a, found.b) {
                (Some(weight), Some(a), Some(b)) => layers.lora.push(LoraLayer {
                    path,
                    trained: is_trained(&a) && is_trained(&b),
                    weight,
                    a,
                    b,
                    scale,
                }),
                (Some(weight), _, _) => layers.plain.push(PlainWeight {
                    path,
                    id: weight.id,
                    shape: weight.value.dims(),
                    rank: None,
                }),
                (None, _, _) => {}
            }
        }
        layers
    }

    /// Adds a weight without factors, or takes the place of the layer that has it.
    pub fn add(&mut self, weight: PlainWeight) {
        match self.plain.iter_mut().find(|plain| plain.id == weight.id) {
            Some(plain) => *plain = weight,
            None => self.plain.push(weight),
        }
    }

    /// The parameters that training changes in the layers: factors, and weights without them.
    pub fn trained(&self) -> HashSet<ParamId> {
        let factors = self.lora.iter().flat_map(|layer| [layer.a.id, layer.b.id]);
        factors
            .chain(self.plain.iter().map(|layer| layer.id))
            .collect()
    }

    /// Checks that an update can change each layer with factors, and only that one.
    ///
    /// # Errors
    ///
    /// A weight is quantized, or two layers have a parameter in common.
    pub fn check(&self) -> Result<(), StateError> {
        let mut seen = HashMap::new();
        for layer in &self.lora {
            if matches!(layer.weight.value.dtype(), DType::QFloat(_)) {
                let path = layer.path.clone();
                return Err(StateError::Quantized { path });
            }
            for id in [layer.weight.id, layer.a.id, layer.b.id] {
                if let Some(first) = seen.insert(id, &layer.path) {
                    return Err(StateError::Shared {
                        first: first.clone(),
                        second: layer.path.clone(),
                    });
                }
            }
        }
        Ok(())
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
            LoraLayer {
                path: layer.path,
                weight,
                a,
                b,
                scale: layer.scale,
                trained: layer.trained,
            }
        });
        Layers {
            lora: lora.collect(),
            plain: self.plain,
        }
    }
}

fn is_trained<B: Backend>(matrix: &LayerMatrix<B>) -> bool {
    matrix.value.is_require_grad()
}

/// The matrices of one layer found so far.
struct Found<B: Backend> {
    path: String,
    /// Number of names in the path.
    depth: usize,
    scale: f64,
    weight: Option<LayerMatrix<B>>,
    a: Option<LayerMatrix<B>>,
    b: Option<LayerMatrix<B>>,
}

#[derive(Default)]
struct Finder<B: Backend> {
    /// Names of the modules entered, the innermost last.
    stack: Vec<String>,
    found: Vec<Found<B>>,
}

impl<B: Backend> ModuleVisitor<B> for Finder<B> {
    fn enter_module(&mut self, name: &str, container: &str) {
        if let Some(scale) = announced(name, container) {
            self.found.push(Found {
                path: self.stack.join("."),
                depth: self.stack.len(),
                scale,
                weight: None,
                a: None,
                b: None,
            });
        }
        self.stack.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some((field, parents)) = self.stack.split_last() else {
            return;
        };
        // The fields of a layer follow its announcement.
        let Some(layer) = self.found.last_mut() else {
            return;
        };
        if D != 2 || layer.depth != parents.len() || layer.path != parents.join(".") {
            return;
        }
        let place = match field.as_str() {
            "weight" => &mut layer.weight,
            "lora_a" => &mut layer.a,
            "lora_b" => &mut layer.b,
            _ => return,
        };
        // The first of each: a layer has it once.
        place.get_or_insert_with(|| LayerMatrix {
            id: param.id,
            value: Tensor::from_primitive(param.val().into_primitive()),
        });
    }
}
