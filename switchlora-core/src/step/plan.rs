//! A planned update: what happens to weights, rows and pools besides AdamW.
//!
//! A plan is made as if the update were certain to happen; [`Commit`](super::Commit) carries it out.

use burn::module::ParamId;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use hashbrown::HashMap;
use switchlora_ops::Moments;

/// Everything one update does besides plain AdamW, by parameter.
#[derive(Default)]
pub(crate) struct Plan<B: Backend> {
    /// Changes of whole weights. Such a weight is not updated by AdamW.
    pub weights: HashMap<ParamId, WeightWrite<B>>,
    /// Changes of single rows, made before AdamW, and how AdamW treats the rows.
    pub rows: HashMap<ParamId, RowPlan<B>>,
    /// Vectors that are written into pools.
    pub pools: Vec<PoolWrite<B>>,
}

/// The change of a weight `[d_input, d_output]`.
pub(crate) enum WeightWrite<B: Backend> {
    /// `W <- W + leftᵀ right`.
    AddProduct {
        /// `[k, d_input]`.
        left: Tensor<B, 2>,
        /// `[k, d_output]`.
        right: Tensor<B, 2>,
    },
    /// `W <- W + scale (leftᵀ right + leftᵀ right)`.
    AddProducts {
        /// Left and right, `[k, d_input]` and `[k, d_output]`.
        pairs: [[Tensor<B, 2>; 2]; 2],
        /// The factor of both.
        scale: f64,
    },
    /// AdamW on the gradient `[d_input, d_output]` projected to the rows of `projection`; the step is projected back.
    Project {
        /// The weight's gradient, `[d_input, d_output]`.
        gradient: Tensor<B, 2>,
        /// `[rank, min(d_input, d_output)]`, on the inputs if `d_input <= d_output`.
        projection: Tensor<B, 2>,
        /// Factor of the step.
        scale: f64,
    },
    /// `W <- W (1 - lr decay) - lr step`.
    Step {
        /// `[d_input, d_output]`.
        step: Tensor<B, 2>,
    },
}

/// How step counts are kept for the rows of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StepCounts {
    /// One count for the whole parameter.
    #[default]
    Shared,
    /// One count for each row.
    EachRow,
    /// One count for each row, bias corrections computed in f32 as the authors' program does for LoRA vectors.
    EachRowF32,
}

/// What one update does to the rows of a parameter `[rows, columns]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowPlan<B: Backend> {
    /// Rows replaced before AdamW, and their new values `[replaced, columns]`.
    pub replaced: Option<(Vec<usize>, Tensor<B, 2>)>,
    /// New moments of the whole parameter, set before AdamW; only in a plan that follows an accepted update.
    pub moments: Option<Moments<B>>,
    /// `P <- P (1 - lr decay) - lr step` in place of AdamW, `[rows, columns]`; the moments and counts are not used.
    pub step: Option<Tensor<B, 2>>,
    /// Rows whose moments become zero before AdamW.
    pub zeroed_moments: Vec<usize>,
    /// Rows whose first moment becomes zero before AdamW, while the second stays.
    pub zeroed_first: Vec<usize>,
    /// Rows whose step count becomes zero before AdamW.
    pub zeroed_counts: Vec<usize>,
    /// Rows whose gradient counts as zero in this update: without a first moment they do not move.
    pub frozen: Vec<usize>,
    /// How steps are counted.
    pub counts: StepCounts,
    /// Factor of the learning rate; 1 unless given.
    pub rate: Option<f64>,
    /// The rise of the learning rate of rows whose step count was reset.
    pub warmup: Option<RowWarmup>,
}

/// The learning rate of a row rises from zero after a reset of its step count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowWarmup {
    /// Updates of the rise.
    pub updates: u32,
    /// Step count of a row that has never been reset, this update included.
    pub oldest: u64,
}

impl RowWarmup {
    /// The factor of the learning rate of a row with this step count.
    pub fn factor(&self, count: u32) -> f64 {
        match u64::from(count) < self.oldest && count < self.updates {
            true => f64::from(count) / f64::from(self.updates),
            false => 1.0,
        }
    }
}

/// Vectors that enter a pool.
pub(crate) struct PoolWrite<B: Backend> {
    /// Index of the layer.
    pub layer: usize,
    /// 0 for side A, 1 for side B.
    pub side: usize,
    /// Pool position of each vector.
    pub positions: Vec<usize>,
    /// `[positions, length]`.
    pub vectors: Tensor<B, 2>,
}
