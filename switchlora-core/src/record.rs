//! The state of an optimizer as plain data on the host, exact under every precision setting.

use burn::module::ParamId;
use burn::record::{PrecisionSettings, Record};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use switchlora_ops::{HostRead, Moments};

mod check;

/// Everything an optimizer of any method needs to go on as if it had never stopped. Fields that a method does not use are
/// empty.
///
/// It has no backend, so a recorder of Burn has to be told one. Save the record of the module too: it has the ids by which the
/// moments are kept.
///
/// ```
/// use burn::backend::Autodiff;
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::optim::Optimizer;
/// use burn::record::{FullPrecisionSettings, NamedMpkFileRecorder, Recorder};
/// use burn_flex::Flex;
/// use switchlora_core::{SwitchLoraConfig, SwitchSchedule, Weights};
///
/// type B = Autodiff<Flex>;
/// let device = Default::default();
/// let folder = tempfile::tempdir().unwrap();
/// let recorder = NamedMpkFileRecorder::<FullPrecisionSettings>::new();
/// let method = SwitchLoraConfig::new(Some(2), SwitchSchedule::fixed(40.0)).unwrap();
/// let optimizer = || method.optimizer::<Linear<B>, B>().on_weights(Weights::matching(|_, _| Some(2)));
///
/// let (model, mut trained) = (LinearConfig::new(8, 6).init::<B>(&device), optimizer());
/// trained.prepare(&model);
/// model.clone().save_file(folder.path().join("model"), &recorder).unwrap();
/// Recorder::<B>::record(&recorder, trained.to_record(), folder.path().join("optimizer")).unwrap();
///
/// let model = model.load_file(folder.path().join("model"), &recorder, &device).unwrap();
/// let record = Recorder::<B>::load(&recorder, folder.path().join("optimizer"), &device).unwrap();
/// let mut resumed = optimizer().load_record(record);
/// resumed.try_prepare(&model).unwrap();
/// assert_eq!(resumed.to_record(), trained.to_record());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptimizerRecord {
    /// Updates done: the position of the switch schedule.
    pub updates: u64,
    /// Moments of each parameter, by the text form of its `ParamId`.
    pub moments: BTreeMap<String, MomentsRecord>,
    /// Each layer with factors, in the order of the module's walk.
    #[serde(default)]
    pub layers: Vec<LayerRecord>,
    /// Factors that the optimizer holds for plain weights, in the order of the module's walk.
    #[serde(default)]
    pub factors: Vec<FactorsRecord>,
    /// GaLore's projections, `[rank, min(d_input, d_output)]`, by the text form of the weight's `ParamId`.
    #[serde(default)]
    pub projections: BTreeMap<String, TensorData>,
    /// Muon's velocities, `[d_input, d_output]`, by the text form of the weight's `ParamId`.
    #[serde(default)]
    pub velocities: BTreeMap<String, TensorData>,
    /// GaLore's projections that could not be computed so far.
    #[serde(default)]
    pub failed_projections: u64,
}

/// The factors that the optimizer holds for one plain weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactorsRecord {
    /// Path of the layer whose weight it is.
    pub path: String,
    /// The text form of the `ParamId` by which the moments of A are kept.
    pub a_id: String,
    /// The text form of the `ParamId` by which the moments of B are kept.
    pub b_id: String,
    /// Side A, `[rank, d_input]`.
    pub a: TensorData,
    /// Side B, `[rank, d_output]`.
    pub b: TensorData,
    /// `s`, the factor of `AᵀB`.
    pub scale: f64,
}

/// Matrices of a method as plain data, by the text form of their parameter's id; one read from the device.
pub(crate) fn by_parameter<B: Backend>(
    matrices: &HashMap<ParamId, Tensor<B, 2>>,
) -> BTreeMap<String, TensorData> {
    let (ids, tensors): (Vec<_>, Vec<_>) = matrices
        .iter()
        .map(|(id, matrix)| (id.serialize(), matrix.clone()))
        .unzip();
    ids.into_iter().zip(read_all(tensors)).collect()
}

/// The matrices of a record that has been [checked](OptimizerRecord::check), on a device.
pub(crate) fn from_parameters<B: Backend>(
    matrices: BTreeMap<String, TensorData>,
    device: &B::Device,
) -> HashMap<ParamId, Tensor<B, 2>> {
    let matrices = matrices.into_iter().map(|(id, matrix)| {
        let matrix = Tensor::from_data(matrix, device);
        (ParamId::deserialize(&id), matrix)
    });
    matrices.collect()
}

/// Moments and step counts of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MomentsRecord {
    /// First moment, `[rows, columns]`.
    pub first: TensorData,
    /// Second moment, `[rows, columns]`.
    pub second: TensorData,
    /// Step count of each row of a LoRA factor; a single count for any other parameter.
    pub counts: Vec<u32>,
}

/// The data of tensors of one device, read all at once; it may share their memory.
pub(crate) fn read_all<B: Backend>(
    tensors: impl IntoIterator<Item = Tensor<B, 2>>,
) -> Vec<TensorData> {
    let tensors = tensors.into_iter();
    tensors
        .fold(HostRead::default(), HostRead::register)
        .execute()
}

/// Moments with their step counts, by the text form of the parameter's id; read from the device all at once.
pub(crate) fn read_moments<B: Backend>(
    moments: &HashMap<ParamId, Moments<B>>,
    counts: &HashMap<ParamId, Vec<u32>>,
) -> BTreeMap<String, MomentsRecord> {
    // Those without step counts are of an update that was refused.
    let counted = || {
        let all = moments.iter();
        all.filter_map(|(id, moments)| Some((id, moments, counts.get(id)?)))
    };
    let tensors =
        counted().flat_map(|(_, moments, _)| [moments.first.clone(), moments.second.clone()]);
    let mut read = read_all(tensors).into_iter();
    let mut next = || {
        read.next()
            .expect("two tensors for each parameter were read")
    };
    let records = counted().map(|(id, _, counts)| {
        let record = MomentsRecord {
            first: next(),
            second: next(),
            counts: counts.clone(),
        };
        (id.serialize(), record)
    });
    records.collect()
}

/// Moments and step counts by parameter.
type Loaded<B> = (HashMap<ParamId, Moments<B>>, HashMap<ParamId, Vec<u32>>);

/// The recorded moments and step counts, on `device`.
pub(crate) fn load_moments<B: Backend>(
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

/// Slots, freezes and spare candidate vectors of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Path of the layer in the module.
    pub path: String,
    /// Slots, walks and freezes.
    pub state: LayerState,
    /// Spare vectors of A in f32, bf16 or i8, `[min(m, n) - rank, d_input]`; none if nothing can switch.
    pub candidates_a: Option<TensorData>,
    /// Spare vectors of B in f32, bf16 or i8, `[min(m, n) - rank, d_output]`; none if nothing can switch.
    pub candidates_b: Option<TensorData>,
    /// The value of one in each vector of A, if they are in i8, `[min(m, n) - rank, 1]`.
    #[serde(default)]
    pub scales_a: Option<TensorData>,
    /// The value of one in each vector of B, if they are in i8, `[min(m, n) - rank, 1]`.
    #[serde(default)]
    pub scales_b: Option<TensorData>,
}

/// Spare vectors of one side of a layer, as its pool holds them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeldVectors {
    /// `[vectors, length]` in f32, bf16 or i8.
    pub numbers: TensorData,
    /// The value of one in each vector, if they are in i8, `[vectors, 1]`.
    pub scales: Option<TensorData>,
}

impl LayerRecord {
    pub(crate) fn new(path: String, state: LayerState, pools: [Option<HeldVectors>; 2]) -> Self {
        let [a, b] = pools.map(|pool| pool.map(|pool| (pool.numbers, pool.scales)));
        let ((candidates_a, scales_a), (candidates_b, scales_b)) = (a.unzip(), b.unzip());
        Self {
            path,
            state,
            candidates_a,
            candidates_b,
            scales_a: scales_a.flatten(),
            scales_b: scales_b.flatten(),
        }
    }

    /// Path, state, and the spare vectors of A and B.
    pub(crate) fn into_parts(self) -> (String, LayerState, [Option<HeldVectors>; 2]) {
        let held = |numbers: Option<TensorData>, scales| {
            numbers.map(|numbers| HeldVectors { numbers, scales })
        };
        let pools = [
            held(self.candidates_a, self.scales_a),
            held(self.candidates_b, self.scales_b),
        ];
        (self.path, self.state, pools)
    }
}

/// Both sides of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerState {
    /// Side A, rows of `[rank, d_input]`.
    pub a: SideState,
    /// Side B, rows of `[rank, d_output]`.
    pub b: SideState,
}

/// The slots of one side of a layer, its frozen rows and the position of its walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideState {
    /// Slot of the vector in each live row, `[rank]`.
    pub live: Vec<u32>,
    /// Slot of the vector at each pool position, `[min(d_input, d_output) - rank]`, empty if nothing can switch.
    pub spare: Vec<u32>,
    /// For each row, the number of updates in which it will not move, `[rank]`.
    pub frozen: Vec<u32>,
    /// The row that the round-robin walk switches next.
    pub row: u32,
    /// The number of vectors that have entered so far. The round-robin walk takes the pool position of this number, counted
    /// through the pool again and again, next.
    pub position: u64,
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
