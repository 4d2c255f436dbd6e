//! The replay on plain weights: the model has none of the factors, which the optimizer holds.

use super::layout::as_in_file;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;
use switchlora_core::{LoraLayer, OptimizerRecord};
use switchlora_train::model::{LlamaForCausalLm, NamedTensor, export, parameter_names};
use switchlora_train::training::Optim;

/// Puts the factors of `layers` into a record that has drawn its own.
pub(super) fn start_with<B: Backend>(record: &mut OptimizerRecord, layers: &[LoraLayer<B>]) {
    for factors in &mut record.factors {
        if let Some(layer) = layers.iter().find(|layer| layer.path == factors.path) {
            factors.a = layer.a.value.to_data();
            factors.b = layer.b.value.to_data();
        }
    }
}

/// The parameters as a model with factors of its own would have them, under their names in a file: factors, and the weights
/// that they leave of the plain ones.
pub(super) struct Apart {
    /// Values in the layout of a file.
    pub values: BTreeMap<String, TensorData>,
    /// Every parameter, the factors included.
    pub names: Vec<NamedTensor>,
}

impl Apart {
    /// Takes plain weights apart. Without factors everything is as in the model.
    pub fn of<B: AutodiffBackend>(model: &LlamaForCausalLm<B>, optimizer: &Optim<B>) -> Self {
        let mut values = export::<B, _>(model);
        let mut names = parameter_names::<B, _>(model);
        let mut optimizer = optimizer.inner().clone();
        let held = optimizer.held_layers(model).unwrap_or_default();
        for layer in &held {
            let (path, rank, [n, m]) = (&layer.path, layer.rank(), layer.shape());
            let name = |what: &str| format!("{path}.{what}");
            values.insert(name("weight"), in_file(frozen(layer)));
            values.insert(name("lora_A"), layer.a.value.to_data());
            values.insert(name("lora_B"), in_file(layer.b.value.clone()));
            let sides = [
                ("lora_A", &layer.a, false, vec![rank, n]),
                ("lora_B", &layer.b, true, vec![m, rank]),
            ];
            names.extend(sides.map(|(side, factor, transposed, shape)| NamedTensor {
                name: name(side),
                id: factor.id,
                transposed,
                shape,
            }));
        }
        Self { values, names }
    }
}

/// `P - s AᵀB`.
fn frozen<B: Backend>(layer: &LoraLayer<B>) -> Tensor<B, 2> {
    let (a, b) = (layer.a.value.clone(), layer.b.value.clone());
    layer.weight.value.clone() - a.transpose().matmul(b) * layer.scale
}

/// A matrix in the layout of a file, which has its transpose.
fn in_file<B: Backend>(matrix: Tensor<B, 2>) -> TensorData {
    let [rows, columns] = matrix.dims();
    TensorData::new(as_in_file(&matrix.into_data(), true), [columns, rows])
}
