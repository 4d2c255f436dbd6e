//! The record of a layer: its tensors, and what else the layer is. It loads exactly, or is refused.
//!
//! A layer becomes what its record says: rank, scale, precision and dtype of the frozen weight, with or without factors
//! and bias. The configuration that the layer was made with decides only its size. What a record says is checked where it
//! is read, which is where Burn can return an error; only what depends on the layer is checked where it is loaded.
//!
//! The record of a [`Linear`](burn::nn::Linear) says nothing but its tensors. A layer without factors loads it; one with
//! factors refuses it, since the factors would have to be taken out of the weight first, which is
//! [`adapt`](super::SwitchLoraLinearConfig::adapt).

use super::layer::SwitchLoraLinear;
use crate::tensor_data::{is_whole, param_id};
use burn::module::{Module, Param};
use burn::record::{PrecisionSettings, Record};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, Tensor, TensorData};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use switchlora_ops::Precision;

/// Record of a [`SwitchLoraLinear`].
#[derive(Clone, Debug)]
pub struct SwitchLoraLinearRecord<B: Backend> {
    /// `W: [d_input, d_output]`.
    pub weight: Param<Tensor<B, 2>>,
    /// `A: [rank, d_input]`.
    pub lora_a: Option<Param<Tensor<B, 2>>>,
    /// `B: [rank, d_output]`.
    pub lora_b: Option<Param<Tensor<B, 2>>>,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// What the layer is besides its tensors; `None` in the record of a [`Linear`](burn::nn::Linear).
    pub kind: Option<LayerKind>,
}

/// What a layer is besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerKind {
    /// `s = alpha / rank`; 0 without factors.
    pub scale: f64,
    /// Precision of the matrix products.
    pub precision: Precision,
}

/// Why a record is not that of a layer, or cannot be loaded into one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LayerRecordError {
    /// The record begins like that of another module.
    #[error(
        "expected the record of a SwitchLoraLinear, found one that begins with {0:?}: it is of another module or of an \
         earlier version, and in a format without names of fields"
    )]
    Other(String),
    /// Factors, and no scale to multiply their product with.
    #[error(
        "the factors of a SwitchLoraLinear have no scale: an earlier version saved the record; load and merge() it there"
    )]
    NoScale,
    /// A scale that is not a number to multiply with.
    #[error("the scale of a SwitchLoraLinear is {0:?}, expected a finite number")]
    Scale(String),
    /// A text that is not the id of a parameter.
    #[error("a parameter of a SwitchLoraLinear has the id {0:?}, expected one that Burn has made")]
    Id(String),
    /// Tensors that are not those of one layer.
    #[error("{tensor} of a SwitchLoraLinear is {found}, expected {expected}")]
    Tensor {
        /// Name of the tensor.
        tensor: &'static str,
        /// Its shape, or that it is missing.
        found: String,
        /// The shape that fits the other tensors.
        expected: String,
    },
    /// The layer has another size.
    #[error(
        "the record has {} inputs and {} outputs, the layer {} inputs and {} outputs",
        found[0], found[1], expected[0], expected[1]
    )]
    Size {
        /// `[d_input, d_output]` of the record.
        found: [usize; 2],
        /// `[d_input, d_output]` of the layer.
        expected: [usize; 2],
    },
    /// The record of a layer that is not a [`SwitchLoraLinear`], for a layer with factors.
    #[error(
        "the record is of a linear layer without factors, the layer has factors of rank {0}: load it into a Linear, or \
         into a layer without a rank, and adapt() that"
    )]
    Foreign(usize),
}

impl<B: Backend> SwitchLoraLinearRecord<B> {
    /// The record of `layer`.
    pub(super) fn of(layer: SwitchLoraLinear<B>) -> Self {
        let (scale, precision) = (layer.scale, layer.precision);
        Self {
            weight: layer.weight.into_record(),
            lora_a: layer.lora_a.into_record(),
            lora_b: layer.lora_b.into_record(),
            bias: layer.bias.into_record(),
            kind: Some(LayerKind { scale, precision }),
        }
    }
}

impl<B: Backend> SwitchLoraLinear<B> {
    /// The layer of the record: its rank, scale and precision, with or without bias. It stays on its device.
    ///
    /// What was trained stays trained, and what was not, as after [`no_grad`](Module::no_grad), stays as it is; factors that
    /// take the place of a plain weight are trained if the weight was. The weight beside factors is frozen.
    ///
    /// # Errors
    ///
    /// The record is of a layer of another size, or of a linear layer without factors where this one has factors.
    pub fn try_load_record(
        self,
        record: SwitchLoraLinearRecord<B>,
    ) -> Result<Self, LayerRecordError> {
        let (found, expected) = (record.weight.dims(), self.weight.lazy_shape().dims());
        if found != expected {
            return Err(LayerRecordError::Size { found, expected });
        }
        let kind = match (record.kind, self.rank()) {
            (Some(kind), _) => kind,
            (None, _) if record.lora_a.is_some() => return Err(LayerRecordError::NoScale),
            (None, Some(rank)) => return Err(LayerRecordError::Foreign(rank)),
            (None, None) => LayerKind {
                scale: self.scale,
                precision: self.precision,
            },
        };
        let device = self.weight.lazy_device();
        let weight = self.weight.load_record(record.weight);
        let trained = match &self.lora_a {
            Some(a) => a.is_require_grad(),
            None => weight.is_require_grad(),
        };
        let lora_a = loaded(self.lora_a, record.lora_a, trained, &device);
        let lora_b = loaded(self.lora_b, record.lora_b, trained, &device);
        let adapted = lora_a.is_some() && lora_b.is_some();
        Ok(Self {
            weight: weight.set_require_grad(trained && !adapted),
            bias: loaded(self.bias, record.bias, trained, &device),
            lora_a,
            lora_b,
            scale: kind.scale,
            precision: kind.precision,
        })
    }
}

/// The recorded parameter in the place of `own`, or a new one on `device` where there is none.
fn loaded<B: Backend, const D: usize>(
    own: Option<Param<Tensor<B, D>>>,
    record: Option<Param<Tensor<B, D>>>,
    trained: bool,
    device: &B::Device,
) -> Option<Param<Tensor<B, D>>> {
    let record = record?;
    Some(match own {
        Some(own) => own.load_record(record),
        None => {
            let (id, tensor, _) = record.consume();
            let tensor = tensor.to_device(device).detach();
            Param::initialized(id, tensor.set_require_grad(trained))
        }
    })
}

/// The text by which a record is known.
const NAME: &str = "switchlora_core::SwitchLoraLinear";

/// The first field of a record: whether it is a layer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Header {
    Layer,
    /// Read by name, the record of a [`Linear`](burn::nn::Linear) has no such field.
    #[default]
    Missing,
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Layer => NAME,
            Self::Missing => "",
        })
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)? {
            name if name == NAME => Ok(Self::Layer),
            name if name.is_empty() => Ok(Self::Missing),
            name => Err(serde::de::Error::custom(LayerRecordError::Other(name))),
        }
    }
}

/// A [`SwitchLoraLinearRecord`] as it is written. By name a [`Linear`](burn::nn::Linear) reads that of a layer without
/// factors, and finds no weight in that of a layer with factors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct SwitchLoraLinearRecordItem {
    kind: Option<LayerKind>,
    item: Unchecked,
}

/// The same before it is checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename = "SwitchLoraLinearRecordItem")]
struct Unchecked {
    #[serde(default)]
    layer: Header,
    /// The weight of a layer without factors, by the name that it has in a Linear.
    #[serde(default)]
    weight: Option<Parameter>,
    /// The weight beside factors, by a name that a Linear does not take for its weight.
    #[serde(default)]
    frozen_weight: Option<Parameter>,
    #[serde(default)]
    lora_a: Option<Parameter>,
    #[serde(default)]
    lora_b: Option<Parameter>,
    #[serde(default)]
    bias: Option<Parameter>,
    /// As text: not every format gives back the number that it was given.
    #[serde(default)]
    scale: Option<String>,
    #[serde(default)]
    precision: Option<Precision>,
}

/// A parameter as Burn writes it, and its dtype.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Parameter {
    id: String,
    param: TensorData,
    /// The dtype in memory, if it is not that of the backend's floats.
    #[serde(default)]
    dtype: Option<DType>,
}

impl Parameter {
    fn shape(&self) -> &[usize] {
        &self.param.shape
    }

    fn write<S: PrecisionSettings, B: Backend, const D: usize>(param: Param<Tensor<B, D>>) -> Self {
        let (id, tensor, mapper) = param.consume();
        let data = mapper.on_save(tensor).into_data();
        let dtype = (data.dtype != B::FloatElem::dtype()).then_some(data.dtype);
        let param = match data.dtype {
            DType::QFloat(_) => data,
            _ => data.convert::<S::FloatElem>(),
        };
        let id = id.serialize();
        Self { id, param, dtype }
    }

    fn read<B: Backend, const D: usize>(self, device: &B::Device) -> Param<Tensor<B, D>> {
        let floats = B::FloatElem::dtype();
        let known = self.dtype.filter(|&dtype| B::supports_dtype(device, dtype));
        let tensor = match (self.param.dtype, known.unwrap_or(floats)) {
            (DType::QFloat(_), _) => Tensor::from_data(self.param, device),
            (_, dtype) => Tensor::from_data(self.param.convert_dtype(dtype), (device, dtype)),
        };
        let id = param_id(&self.id).expect("a checked record has ids");
        Param::initialized(id, tensor.require_grad())
    }
}

impl From<SwitchLoraLinearRecordItem> for Unchecked {
    fn from(checked: SwitchLoraLinearRecordItem) -> Self {
        checked.item
    }
}

impl TryFrom<Unchecked> for SwitchLoraLinearRecordItem {
    type Error = LayerRecordError;

    fn try_from(item: Unchecked) -> Result<Self, LayerRecordError> {
        let adapted = item.lora_a.is_some();
        let (name, weight, other) = match (adapted, item.layer) {
            (true, Header::Missing) => return Err(LayerRecordError::NoScale),
            (true, Header::Layer) => ("frozen_weight", &item.frozen_weight, &item.weight),
            (false, _) => ("weight", &item.weight, &item.frozen_weight),
        };
        let (weight, other) = (weight.as_ref(), other.as_ref());
        let &[n, m] = weight.map(Parameter::shape).unwrap_or_default() else {
            return Err(is(name, weight, "two dimensions".into()));
        };
        expect(name, weight, true, &[n, m])?;
        expect("another weight", other, false, &[])?;
        let rank = item
            .lora_a
            .as_ref()
            .and_then(|a| a.shape().first().copied());
        let rank = rank.unwrap_or_default();
        expect("lora_a", item.lora_a.as_ref(), adapted, &[rank.max(1), n])?;
        expect("lora_b", item.lora_b.as_ref(), adapted, &[rank.max(1), m])?;
        expect("bias", item.bias.as_ref(), item.bias.is_some(), &[m])?;
        let kind = match (item.layer, &item.scale, item.precision) {
            (Header::Layer, Some(scale), Some(precision)) => Some(LayerKind {
                scale: finite(scale).ok_or(LayerRecordError::Scale(scale.clone()))?,
                precision,
            }),
            (Header::Missing, _, _) if !adapted => None,
            _ => return Err(LayerRecordError::NoScale),
        };
        Ok(Self { kind, item })
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|scale: &f64| scale.is_finite())
}

/// Checks that a tensor is there if it has to be, whole, and of the shape that the others ask for.
fn expect(
    name: &'static str,
    tensor: Option<&Parameter>,
    wanted: bool,
    shape: &[usize],
) -> Result<(), LayerRecordError> {
    match tensor {
        Some(found) if param_id(&found.id).is_none() => Err(LayerRecordError::Id(found.id.clone())),
        None if !wanted => Ok(()),
        Some(_) if !wanted => Err(is(name, tensor, "missing".into())),
        Some(found) if found.shape() == shape && is_whole(&found.param) => Ok(()),
        _ => Err(is(name, tensor, format!("{shape:?}"))),
    }
}

fn is(tensor: &'static str, found: Option<&Parameter>, expected: String) -> LayerRecordError {
    let found = match found {
        None => "missing".to_owned(),
        Some(found) if is_whole(&found.param) => format!("{:?}", found.shape()),
        Some(found) => format!("{} bytes for {:?}", found.param.bytes.len(), found.shape()),
    };
    LayerRecordError::Tensor {
        tensor,
        found,
        expected,
    }
}

impl<B: Backend> Record<B> for SwitchLoraLinearRecord<B> {
    type Item<S: PrecisionSettings> = SwitchLoraLinearRecordItem;

    fn into_item<S: PrecisionSettings>(self) -> SwitchLoraLinearRecordItem {
        let kind = self.kind;
        let weight = Some(Parameter::write::<S, B, 2>(self.weight));
        let (weight, frozen_weight) = match self.lora_a.is_some() {
            true => (None, weight),
            false => (weight, None),
        };
        let item = Unchecked {
            layer: kind.map_or(Header::Missing, |_| Header::Layer),
            weight,
            frozen_weight,
            lora_a: self.lora_a.map(Parameter::write::<S, B, 2>),
            lora_b: self.lora_b.map(Parameter::write::<S, B, 2>),
            bias: self.bias.map(Parameter::write::<S, B, 1>),
            scale: kind.map(|kind| kind.scale.to_string()),
            precision: kind.map(|kind| kind.precision),
        };
        SwitchLoraLinearRecordItem { kind, item }
    }

    fn from_item<S: PrecisionSettings>(item: Self::Item<S>, device: &B::Device) -> Self {
        let SwitchLoraLinearRecordItem { kind, item } = item;
        let matrix = |parameter: Parameter| parameter.read::<B, 2>(device);
        let weight = item.weight.or(item.frozen_weight);
        Self {
            weight: matrix(weight.expect("a checked record has a weight")),
            lora_a: item.lora_a.map(matrix),
            lora_b: item.lora_b.map(matrix),
            bias: item.bias.map(|parameter| parameter.read::<B, 1>(device)),
            kind,
        }
    }
}
