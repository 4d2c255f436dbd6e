//! The record of a layer as it is written, and the checks when it is read.

use super::record::{LayerKind, SwitchLoraLinearRecord};
use super::record_error::LayerRecordError;
use crate::tensor_data::{is_whole, param_id};
use burn::module::Param;
use burn::record::{PrecisionSettings, Record};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, Tensor, TensorData};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use switchlora_ops::Precision;

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
