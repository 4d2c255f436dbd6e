//! The state of an optimizer as plain data on the host, exact under every precision setting.

use crate::switch::LayerState;
use burn::module::ParamId;
use burn::record::{PrecisionSettings, Record};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, Transaction};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use switchlora_ops::Moments;

/// Everything an optimizer of any method needs to go on as if it had never stopped. A method leaves empty what it has not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptimizerRecord {
    /// Updates done; the schedule's position.
    pub updates: u64,
    /// Moments of each parameter, by the text form of its `ParamId`.
    pub moments: BTreeMap<String, MomentsRecord>,
    /// Each layer with factors, in the order of the module's walk.
    #[serde(default)]
    pub layers: Vec<LayerRecord>,
    /// GaLore's projections, `[rank, min(m, n)]`, by the text form of the weight's `ParamId`.
    #[serde(default)]
    pub projections: BTreeMap<String, TensorData>,
    /// Projections of GaLore that could not be computed so far.
    #[serde(default)]
    pub failed_projections: u64,
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

/// The moments with their step counts; one read for all.
pub(super) fn read_moments<B: Backend>(
    moments: &HashMap<ParamId, Moments<B>>,
    counts: &HashMap<ParamId, Vec<u32>>,
) -> BTreeMap<String, MomentsRecord> {
    let mut read = Transaction::<B>::default();
    for moments in moments.values() {
        read = read
            .register(moments.first.clone())
            .register(moments.second.clone());
    }
    let mut read = read.execute().into_iter();
    let mut next = || {
        read.next()
            .expect("two tensors for each parameter were read")
    };
    let records = moments.keys().map(|id| {
        let record = MomentsRecord {
            first: next(),
            second: next(),
            counts: counts.get(id).cloned().unwrap_or_default(),
        };
        (id.serialize(), record)
    });
    records.collect()
}

/// Moments and step counts by parameter.
type Loaded<B> = (HashMap<ParamId, Moments<B>>, HashMap<ParamId, Vec<u32>>);

/// Moments and step counts as they were read, on `device`.
pub(super) fn load_moments<B: Backend>(
    records: BTreeMap<String, MomentsRecord>,
    device: &B::Device,
) -> Loaded<B> {
    let (mut moments, mut counts) = Loaded::<B>::default();
    for (id, record) in records {
        let id = ParamId::deserialize(&id);
        counts.insert(id, record.counts);
        let first = Tensor::from_data(record.first, device);
        let second = Tensor::from_data(record.second, device);
        moments.insert(id, Moments { first, second });
    }
    (moments, counts)
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

impl<B: Backend> Record<B> for OptimizerRecord {
    type Item<S: PrecisionSettings> = Self;

    fn into_item<S: PrecisionSettings>(self) -> Self {
        self
    }

    fn from_item<S: PrecisionSettings>(item: Self, _device: &B::Device) -> Self {
        item
    }
}
