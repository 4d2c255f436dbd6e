//! The state of a [`SwitchLora`](super::SwitchLora) as plain data on the host, exact under every precision setting.

use crate::switch::LayerState;
use burn::record::{PrecisionSettings, Record};
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything a [`SwitchLora`](super::SwitchLora) needs to go on as if it had never stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SwitchLoraRecord {
    /// Updates done; the schedule's position.
    pub updates: u64,
    /// Moments of each parameter, by the text form of its `ParamId`.
    pub moments: BTreeMap<String, MomentsRecord>,
    /// Each layer with factors, in the order of the module's walk.
    pub layers: Vec<LayerRecord>,
}

/// Moments and step counts of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MomentsRecord {
    /// First moment, `[rows, columns]`.
    pub first: TensorData,
    /// Second moment, `[rows, columns]`.
    pub second: TensorData,
    /// Step count of each row of a LoRA factor, or the one of any other parameter.
    pub counts: Vec<u32>,
}

/// Slots, freezes and spare vectors of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Path of the layer in the module.
    pub path: String,
    /// Which vector is where.
    pub state: LayerState,
    /// Spare vectors of A, `[min(m, n) - rank, d_input]`; none if nothing can switch.
    pub candidates_a: Option<TensorData>,
    /// Spare vectors of B, `[min(m, n) - rank, d_output]`; none if nothing can switch.
    pub candidates_b: Option<TensorData>,
}

impl<B: Backend> Record<B> for SwitchLoraRecord {
    type Item<S: PrecisionSettings> = Self;

    fn into_item<S: PrecisionSettings>(self) -> Self {
        self
    }

    fn from_item<S: PrecisionSettings>(item: Self, _device: &B::Device) -> Self {
        item
    }
}
