//! The parameters of a model by the names and in the layout of Hugging Face's files.
//!
//! Fields are named so that the path of a parameter IS its Hugging Face name; what is left is the layout: a linear weight
//! is `[d_input, d_output]` here and `[out, in]` there. The factors of an adapted layer, which Hugging Face's LLaMA does
//! not have, are `….lora_A: [rank, in]` and `….lora_B: [out, rank]`, as in the authors' program.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, Transaction};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A parameter's name and where it is in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTensor {
    /// Hugging Face's name.
    pub name: String,
    /// Its id in the model.
    pub id: ParamId,
    /// Whether the file holds the transpose.
    pub transposed: bool,
    /// Shape in the file.
    pub shape: Vec<usize>,
}

/// Why tensors do not fit a model.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// A parameter of the model that is not among the tensors.
    #[error("tensor {0} is missing")]
    Missing(String),
    /// A tensor of another shape.
    #[error("tensor {name} has shape {found:?}, the model needs {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape the model needs.
        expected: Vec<usize>,
    },
    /// Tensors that the model has no place for.
    #[error("tensors the model has no place for: {}", .0.join(", "))]
    Unexpected(Vec<String>),
}

/// Every parameter of a model, in the order of its walk.
pub fn parameter_names<B: Backend, M: Module<B>>(module: &M) -> Vec<NamedTensor> {
    let mut names = Names::<B>::default();
    module.visit(&mut names);
    names.found
}

/// The parameters of a model, copied to the host as they lie on the device.
///
/// A training waits for the copy only; to [lay it out](Self::lay_out) is for another thread.
#[derive(Clone, Debug)]
pub struct HostParameters(Vec<(NamedTensor, TensorData)>);

impl HostParameters {
    /// Copies every parameter; one read for all.
    pub fn copy<B: Backend, M: Module<B>>(module: &M) -> Self {
        let mut names = Names::<B>::default();
        module.visit(&mut names);
        let data = names.read.execute().into_iter();
        Self(names.found.into_iter().zip(data).collect())
    }

    /// The parameters as f32, named and laid out as in a file.
    pub fn lay_out(self) -> BTreeMap<String, TensorData> {
        let laid_out = self.0.into_iter().map(|(tensor, data)| {
            let data = data.convert::<f32>();
            let data = if tensor.transposed {
                transpose(data)
            } else {
                data
            };
            (tensor.name, data)
        });
        laid_out.collect()
    }
}

/// Every parameter of a model as f32 data on the host, named and laid out as in a file.
pub fn export<B: Backend, M: Module<B>>(module: &M) -> BTreeMap<String, TensorData> {
    HostParameters::copy::<B, M>(module).lay_out()
}

/// Puts tensors, named and laid out as in a file, into a model.
///
/// # Errors
///
/// A parameter without a tensor, a tensor without a parameter, or another shape.
pub fn import<B: Backend, M: Module<B>>(
    module: M,
    mut tensors: BTreeMap<String, TensorData>,
) -> Result<M, NameError> {
    let mut data = BTreeMap::new();
    for parameter in parameter_names::<B, M>(&module) {
        let missing = || NameError::Missing(parameter.name.clone());
        let tensor = tensors.remove(&parameter.name).ok_or_else(missing)?;
        let found: Vec<usize> = tensor.shape.iter().copied().collect();
        if found != parameter.shape {
            return Err(NameError::Shape {
                name: parameter.name,
                found,
                expected: parameter.shape,
            });
        }
        let tensor = if parameter.transposed {
            transpose(tensor)
        } else {
            tensor
        };
        data.insert(parameter.id.val(), tensor);
    }
    if !tensors.is_empty() {
        return Err(NameError::Unexpected(tensors.into_keys().collect()));
    }
    Ok(module.map(&mut Fill { data }))
}

/// The transpose of a matrix of f32, block by block: a column of a large matrix touches a page for each of its numbers.
pub(crate) fn transpose(data: TensorData) -> TensorData {
    const BLOCK: usize = 32;
    let (rows, columns) = (data.shape[0], data.shape[1]);
    let values = data
        .as_slice::<f32>()
        .map_or_else(|_| data.iter::<f32>().collect(), Cow::Borrowed);
    let mut transposed = vec![0.0; values.len()];
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for row in top..rows.min(top + BLOCK) {
                for column in left..columns.min(left + BLOCK) {
                    transposed[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    TensorData::new(transposed, [columns, rows])
}

struct Names<B: Backend> {
    stack: Vec<(String, String)>,
    found: Vec<NamedTensor>,
    read: Transaction<B>,
}

impl<B: Backend> Default for Names<B> {
    fn default() -> Self {
        Self {
            stack: Vec::new(),
            found: Vec::new(),
            read: Transaction::default(),
        }
    }
}

impl<B: Backend> ModuleVisitor<B> for Names<B> {
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
        let field = match field.as_str() {
            "lora_a" => "lora_A",
            "lora_b" => "lora_B",
            field => field,
        };
        let linear = container == "Struct:SwitchLoraLinear" || container == "Struct:Linear";
        let transposed = D == 2 && linear && field != "lora_A";
        let mut shape = param.dims().to_vec();
        if transposed {
            shape.reverse();
        }
        let mut name: Vec<&str> = parents.iter().map(|(name, _)| name.as_str()).collect();
        name.push(field);
        self.found.push(NamedTensor {
            name: name.join("."),
            id: param.id,
            transposed,
            shape,
        });
        self.read = std::mem::take(&mut self.read).register(param.val());
    }
}

/// Replaces parameters by data, by id.
struct Fill {
    data: BTreeMap<u64, TensorData>,
}

impl<B: Backend> ModuleMapper<B> for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let tensor = match self.data.remove(&id.val()) {
            Some(data) => {
                // Files hold f32; a frozen weight may rest in less.
                let like = (&tensor.device(), tensor.dtype());
                let data = data.convert_dtype(tensor.dtype());
                Tensor::from_data(data, like).set_require_grad(tensor.is_require_grad())
            }
            None => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_transpose_has_every_number_in_its_place(rows in 0_usize..70, columns in 0_usize..70) {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let transposed = transpose(TensorData::new(values.clone(), [rows, columns]));
            prop_assert_eq!(transposed.shape.to_vec(), [columns, rows]);
            let found: Vec<f32> = transposed.iter::<f32>().collect();
            for row in 0..rows {
                for column in 0..columns {
                    prop_assert_eq!(found[column * rows + row], values[row * columns + column]);
                }
            }
        }
    }
}
