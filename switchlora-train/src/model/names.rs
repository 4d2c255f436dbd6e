//! The parameters of a model by the names and in the layout of Hugging Face's files.
//!
//! The path of a parameter in the model is its Hugging Face name. The layout differs: a linear weight is `[d_input, d_output]` in
//! the model and `[out, in]` in a file. The factors of an adapted layer, which Hugging Face's LLaMA does not have, are
//! `….lora_A: [rank, in]` and `….lora_B: [out, rank]`, as in the authors' program.

use super::layout::{in_pieces, laid_out};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use std::collections::BTreeMap;
use std::io::{self, Write};
use switchlora_core::Weights;
use switchlora_ops::HostRead;

/// A parameter of a model, and its name and layout in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTensor {
    /// Hugging Face's name.
    pub name: String,
    /// Id in the model.
    pub id: ParamId,
    /// Whether the file holds the transpose.
    pub transposed: bool,
    /// Shape in the file.
    pub shape: Vec<usize>,
}

impl NamedTensor {
    /// Changes data from the layout of the module to that of the file, or back, as f32.
    fn turned(&self, data: TensorData) -> TensorData {
        laid_out(data, self.transposed)
    }
}

/// Why tensors do not fit a model.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// A parameter of the model has no tensor.
    #[error("tensor {0} is missing")]
    Missing(String),
    /// A tensor has another shape than the parameter.
    #[error("tensor {name} has shape {found:?}, the model needs {expected:?}")]
    Shape {
        /// The name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape the model needs.
        expected: Vec<usize>,
    },
    /// Tensors without a parameter in the model.
    #[error("tensors the model has no place for: {}", .0.join(", "))]
    Unexpected(Vec<String>),
}

/// Returns every parameter of a model, in the order of its walk.
pub fn parameter_names<B: Backend, M: Module<B>>(module: &M) -> Vec<NamedTensor> {
    let mut names = Names::<B>::default();
    module.visit(&mut names);
    names.found
}

/// The projections of a LLaMA without factors, for an optimizer that holds them at rank `rank`.
pub fn projection_weights(rank: usize) -> Weights {
    Weights::matching(move |path, _| path.ends_with("_proj.weight").then_some(rank))
}

/// The parameters of a model, read to the host in the layout of the device.
///
/// A training waits for that only; another thread converts them to the layout of files, one after another.
#[derive(Clone, Debug)]
pub struct HostParameters(Vec<HostParameter>);

/// A parameter of a model on the host, in the layout of the device.
#[derive(Clone, Debug)]
pub struct HostParameter {
    tensor: NamedTensor,
    data: TensorData,
}

impl HostParameter {
    /// Its shape in a file.
    pub fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    /// Its dtype on the device.
    pub fn dtype(&self) -> DType {
        self.data.dtype
    }

    /// Its values as f32, in the layout of a file.
    pub fn into_f32(self) -> TensorData {
        self.tensor.turned(self.data)
    }

    /// Writes [these](Self::into_f32) values, a few megabytes at a time.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn write_f32(&self, writer: &mut impl Write) -> io::Result<()> {
        in_pieces(&self.data, self.tensor.transposed, |piece| {
            writer.write_all(bytemuck::cast_slice(piece))
        })
    }
}

impl HostParameters {
    /// Reads every parameter at once. The data [may share their memory](HostRead).
    pub fn read<B: Backend, M: Module<B>>(module: &M) -> Self {
        let mut names = Names::<B>::default();
        module.visit(&mut names);
        let data = names.read.execute();
        let parameters = names.found.into_iter().zip(data);
        Self(
            parameters
                .map(|(tensor, data)| HostParameter { tensor, data })
                .collect(),
        )
    }

    /// The tensors in the order of the model's walk, in the layout of the device.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorData> {
        self.0.iter().map(|parameter| &parameter.data)
    }

    /// CRC-32 of all values.
    pub fn checksum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        self.tensors().for_each(|data| sum.update(data.as_bytes()));
        sum.finalize()
    }

    /// The parameters by their names in a file.
    pub fn by_name(self) -> BTreeMap<String, HostParameter> {
        let parameters = self.0.into_iter();
        parameters
            .map(|parameter| (parameter.tensor.name.clone(), parameter))
            .collect()
    }
}

/// Returns every parameter of a model as f32 on the host, with the names and layout of a file.
pub fn export<B: Backend, M: Module<B>>(module: &M) -> BTreeMap<String, TensorData> {
    let parameters = HostParameters::read::<B, M>(module).by_name().into_iter();
    parameters
        .map(|(name, parameter)| (name, parameter.into_f32()))
        .collect()
}

/// Puts tensors with the names and layout of a file into a model.
///
/// # Errors
///
/// A parameter has no tensor, a tensor has no parameter, or their shapes differ.
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
        data.insert(parameter.id.val(), parameter.turned(tensor));
    }
    if !tensors.is_empty() {
        return Err(NameError::Unexpected(tensors.into_keys().collect()));
    }
    Ok(module.map(&mut Fill { data }))
}

struct Names<B: Backend> {
    stack: Vec<(String, String)>,
    found: Vec<NamedTensor>,
    read: HostRead<B>,
}

impl<B: Backend> Default for Names<B> {
    fn default() -> Self {
        Self {
            stack: Vec::new(),
            found: Vec::new(),
            read: HostRead::default(),
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
                // Files hold f32; a frozen weight may have a smaller dtype.
                let like = (&tensor.device(), tensor.dtype());
                let data = data.convert_dtype(tensor.dtype());
                Tensor::from_data(data, like).set_require_grad(tensor.is_require_grad())
            }
            None => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}
