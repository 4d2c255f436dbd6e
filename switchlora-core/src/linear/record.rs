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
use super::record_error::LayerRecordError;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
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
