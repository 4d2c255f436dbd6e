//! GaLore (Zhao et al., [arXiv 2403.03507](https://arxiv.org/abs/2403.03507)): every weight is trained, by moments of a
//! gradient that is projected to rank `r`.
//!
//! With the weight `W: [n, m]` and its gradient `G`, `P` holds the `r` leading singular vectors of `G` on its shorter side as
//! rows (on the inputs where `n <= m`), and is computed anew every `gap` updates. AdamW's step `D` is computed from
//! `R = P G` (or `P Gᵀ`), `[r, max(n, m)]`, and `W <- W - lr scale Pᵀ D` (or `W - lr scale Dᵀ P`). Moments stay across a new
//! projection as they are. As in the authors' program the epsilon is 1e-6 and, unlike the learning rate, not corrected for
//! the bias of the moments, for all parameters; other corrections are an option.
//!
//! Weights are found by walking the module: those of [`SwitchLoraLinear`](crate::SwitchLoraLinear) layers without factors.
//! Everything else is trained by AdamW.

use crate::config_error::{ConfigError, in_range};
use crate::layers::{Layers, PlainWeight, without_weights};
use crate::optimizer::MethodOptimizer;
use crate::planner::{Kept, Planner, Update};
use crate::record::{OptimizerRecord, by_parameter, from_parameters, read_all};
use crate::replay::Recorded;
use crate::state_error::StateError;
use crate::step::{AdamW, AdamWConfig, BiasCorrection, Plan, Pools, RowPlan, WeightWrite};
use crate::svd::{SvdError, leading_vectors};
use burn::module::{AutodiffModule, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use hashbrown::HashMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// GaLore's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GaLoreConfig {
    /// Rank `r` of the projected gradients. If `min(n, m) <= rank`, the weight uses plain AdamW with its steps multiplied by
    /// [`scale`](Self::scale).
    pub rank: usize,
    /// Updates between two projections, at least 1.
    pub gap: u64,
    /// Factor of the steps of projected weights.
    pub scale: f64,
    /// Which parts of AdamW are corrected for moments that start at zero.
    pub bias_correction: BiasCorrection,
    /// The constants of AdamW.
    pub adamw: AdamWConfig,
}

impl GaLoreConfig {
    /// The authors' settings: a gap of 200, a scale of 0.25, AdamW with betas 0.9 and 0.999 and an epsilon of 1e-6
    /// that is not corrected for bias.
    ///
    /// # Errors
    ///
    /// A rank of 0.
    pub fn new(rank: usize) -> Result<Self, ConfigError> {
        let config = Self {
            rank,
            gap: 200,
            scale: 0.25,
            bias_correction: BiasCorrection::Rate,
            adamw: AdamWConfig {
                epsilon: 1e-6,
                ..AdamWConfig::default()
            },
        };
        config.validate().map(|()| config)
    }

    /// Checks every field, as after reading a configuration from a file.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.rank == 0 {
            return Err(ConfigError::ZeroRank);
        }
        let scale = self.scale;
        in_range("gap", self.gap as f64, self.gap > 0, "at least 1 update")?;
        let held = (1e-6..=1e6).contains(&scale);
        in_range("scale", scale, held, "1e-6 to 1e6")?;
        self.adamw.validate()
    }

    /// The optimizer; put it inside a [`ClipGradNorm`](crate::ClipGradNorm).
    ///
    /// An update with a new projection waits for the device, since the decomposition is done on the host.
    ///
    /// # Panics
    ///
    /// If the configuration is not [valid](Self::validate).
    pub fn optimizer<M: AutodiffModule<B>, B: AutodiffBackend>(&self) -> MethodOptimizer<M, B> {
        MethodOptimizer::new(Box::new(GaLore::new(*self, Recorded::default())))
    }

    /// The rank to which the gradient of a weight is projected, if it is.
    fn rank_for(&self, weight: &PlainWeight) -> Option<usize> {
        let rank = weight.rank.unwrap_or(self.rank);
        (rank < weight.shape[0].min(weight.shape[1])).then_some(rank)
    }
}

/// Why a weight has no new projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum ProjectionError {
    /// The gradient has no singular vectors.
    #[error(transparent)]
    Svd(#[from] SvdError),
    /// The replayed run has no projection of this shape for this weight and refresh.
    #[error("no projection was recorded")]
    NotRecorded,
}

/// GaLore.
///
/// Where a new projection cannot be computed, the weight keeps its old one. Without any it does not move in this update, and
/// the next update tries again.
#[derive(Clone, Debug)]
pub(crate) struct GaLore<B: Backend> {
    config: GaLoreConfig,
    recorded: Recorded,
    /// `[rank, min(n, m)]` each.
    projections: HashMap<ParamId, Tensor<B, 2>>,
    /// Projections that could not be computed so far.
    failures: u64,
    /// Path of the layer and reason, for each projection that could not be computed in the last update.
    last_failures: Vec<(String, ProjectionError)>,
    /// Whether the module has been looked at.
    prepared: bool,
}

impl<B: Backend> GaLore<B> {
    /// The method before its first update.
    pub fn new(config: GaLoreConfig, recorded: Recorded) -> Self {
        Self {
            config,
            recorded,
            projections: HashMap::new(),
            failures: 0,
            last_failures: Vec::new(),
            prepared: false,
        }
    }

    /// The weights that get a new projection in this update.
    fn due<'a>(&self, update: &Update<'a, B>) -> Vec<&'a PlainWeight> {
        let weights = update.layers.plain.iter();
        let weights = weights.filter(|weight| self.config.rank_for(weight).is_some());
        let due = weights.filter(|weight| {
            let has = self.projections.contains_key(&weight.id);
            !has || count(update, weight).is_multiple_of(self.config.gap)
        });
        due.collect()
    }

    /// Computes the projections of the weights that are due from their gradients, all read at once and decomposed side by
    /// side.
    fn refresh(&mut self, update: &Update<'_, B>, gradients: &GradientsParams) {
        let due = self.due(update).into_iter().filter_map(|weight| {
            let gradient = weight.gradient::<B>(gradients)?;
            Some((weight, gradient))
        });
        let (weights, gradients): (Vec<_>, Vec<_>) = due.unzip();
        let Some(device) = gradients.first().map(Tensor::device) else {
            return;
        };
        let found: Vec<Result<TensorData, ProjectionError>> = match &self.recorded.projections {
            Some(recorded) => {
                let find = |weight| self.find(recorded, update, weight);
                weights.iter().map(|&weight| find(weight)).collect()
            }
            None => {
                let read = read_all(gradients);
                let decompose = |(data, weight): (&TensorData, &&PlainWeight)| {
                    let rank = self.config.rank_for(weight).unwrap_or_default();
                    Ok(leading_vectors(data, rank)?)
                };
                let pairs = read.par_iter().zip(weights.par_iter());
                pairs.map(decompose).collect()
            }
        };
        for (weight, found) in weights.into_iter().zip(found) {
            match found {
                Ok(projection) => {
                    let projection = Tensor::from_data(projection, &device);
                    self.projections.insert(weight.id, projection);
                }
                Err(reason) => self.last_failures.push((weight.path.clone(), reason)),
            }
        }
        self.failures += self.last_failures.len() as u64;
    }

    /// The recorded projection of a weight at this refresh.
    fn find(
        &self,
        recorded: &[BTreeMap<String, TensorData>],
        update: &Update<'_, B>,
        weight: &PlainWeight,
    ) -> Result<TensorData, ProjectionError> {
        let refresh = (count(update, weight) / self.config.gap) as usize;
        let [n, m] = weight.shape;
        let projection = recorded
            .get(refresh)
            .and_then(|all| all.get(&weight.path))
            .filter(|data| data.shape.as_slice() == [self.config.rank, n.min(m)]);
        let projection = projection.ok_or(ProjectionError::NotRecorded)?;
        match projection.iter::<f32>().all(|value| value.is_finite()) {
            true => Ok(projection.clone()),
            false => Err(SvdError::NotFinite.into()),
        }
    }
}

/// Updates of a weight before this one.
fn count<B: Backend>(update: &Update<'_, B>, weight: &PlainWeight) -> u64 {
    let counts = update.counts.get(&weight.id);
    u64::from(
        counts
            .and_then(|counts| counts.first().copied())
            .unwrap_or(0),
    )
}

impl<B: Backend> Planner<B> for GaLore<B> {
    fn validate(&self) -> Result<(), ConfigError> {
        self.config.validate()
    }

    fn adamw(&self) -> AdamW {
        AdamW {
            config: self.config.adamw,
            bias_correction: self.config.bias_correction,
        }
    }

    fn moments_of(&self, weight: &PlainWeight) -> Option<[usize; 2]> {
        let [n, m] = weight.shape;
        let projected = |rank| [rank, n.max(m)];
        Some(self.config.rank_for(weight).map_or([n, m], projected))
    }

    fn keeps(&self, kind: Kept) -> bool {
        kind == Kept::Projections
    }

    fn prepare(
        &mut self,
        layers: &Layers<B>,
        _pools: &mut Pools<B>,
    ) -> Result<Vec<String>, StateError> {
        let first = !std::mem::replace(&mut self.prepared, true);
        // Those of weights that the module has not say nothing of the others.
        for weight in &layers.plain {
            let expected = weight.rank.unwrap_or(self.config.rank);
            let projection = self.projections.get(&weight.id).map(Tensor::dims);
            if let Some(found) = projection.filter(|[rank, _]| *rank != expected) {
                let found = found.to_vec();
                return Err(StateError::Projection { found, expected });
            }
        }
        let remark = first.then(|| without_weights(layers));
        Ok(remark.flatten().into_iter().collect())
    }

    fn is_final(&self, update: &Update<'_, B>) -> bool {
        !self.due(update).is_empty()
    }

    fn plan(
        &mut self,
        update: &Update<'_, B>,
        gradients: &mut GradientsParams,
        _pools: &mut Pools<B>,
    ) -> Plan<B> {
        self.last_failures.clear();
        self.refresh(update, gradients);
        let (mut plan, scale) = (Plan::default(), self.config.scale);
        for weight in &update.layers.plain {
            if self.config.rank_for(weight).is_none() {
                let row_plan = RowPlan {
                    rate: Some(scale),
                    ..RowPlan::default()
                };
                plan.rows.insert(weight.id, row_plan);
                continue;
            }
            // Taken out, so that AdamW does not train a weight without a projection in full.
            let gradient = weight.take_gradient::<B>(gradients);
            let projection = self.projections.get(&weight.id).cloned();
            if let (Some(gradient), Some(projection)) = (gradient, projection) {
                let write = WeightWrite::Project {
                    gradient,
                    projection,
                    scale,
                };
                plan.weights.insert(weight.id, write);
            }
        }
        plan
    }

    fn save(&self, _pools: &Pools<B>, record: &mut OptimizerRecord) {
        record.projections = by_parameter(&self.projections);
        record.failed_projections = self.failures;
    }

    fn load(&mut self, record: OptimizerRecord, _pools: &mut Pools<B>, device: &B::Device) {
        self.projections = from_parameters(record.projections, device);
        self.failures = record.failed_projections;
    }

    fn remarks(&self) -> Vec<String> {
        let failures = self.last_failures.iter();
        let remark = |(path, reason): &(String, ProjectionError)| {
            format!("no new projection for {path}: {reason}; the old one stays")
        };
        failures.map(remark).collect()
    }
}
