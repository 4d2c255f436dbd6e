//! GaLore (Zhao et al., [arXiv 2403.03507](https://arxiv.org/abs/2403.03507)): every weight is trained, by moments of a
//! gradient that is projected to rank `r`.
//!
//! With the weight `W: [n, m]` and its gradient `G`, `P` holds the `r` leading singular vectors of `G` on its shorter side as
//! rows (that of the inputs where `n <= m`), and is computed anew every `gap` updates. AdamW's direction `D` is that of
//! `R = P G` (or `P Gᵀ`), `[r, max(n, m)]`, and `W <- W - lr scale Pᵀ D` (or `W - lr scale Dᵀ P`). Moments stay across a new
//! projection as they are. As in the authors' program the epsilon is 1e-6 and is not corrected for the bias of the moments,
//! as the rate is, for all parameters; other corrections are an option.
//!
//! Weights are found by walking the module: those of [`SwitchLoraLinear`](crate::SwitchLoraLinear) layers without factors.
//! Everything else is trained by AdamW.

use super::adamw::{AdamW, BiasCorrection, RowPlan};
use super::clip::join;
use super::exchange::Absorbed;
use super::guard::{Guard, GuardedOptimizer};
use super::host::Undecided;
use super::record::{OptimizerRecord, load_moments, read_moments};
use super::update::{Planned, Update};
use crate::config::{ConfigError, in_range};
use crate::layers::{PlainWeight, plain_weights};
use crate::svd::{SvdError, leading_vectors};
use burn::module::{AutodiffModule, ParamId};
use burn::optim::{GradientsParams, LearningRate, MultiGradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData, Transaction};
use hashbrown::HashMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use switchlora_ops::Moments;

/// GaLore's settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GaLoreConfig {
    /// Rank `r` of the projected gradients. A weight whose shorter side is not longer is trained by AdamW, its steps scaled.
    pub rank: usize,
    /// Updates between two projections, at least 1.
    pub gap: u64,
    /// Factor of the steps of projected weights.
    pub scale: f64,
    /// What is corrected for moments that begin at zero.
    pub bias_correction: BiasCorrection,
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
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
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-6,
            weight_decay: 0.0,
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
        let moment = |beta: f64| (0.0..1.0).contains(&beta);
        let finite = |value: f64| value.is_finite() && value > 0.0;
        let decay = self.weight_decay;
        in_range("gap", self.gap as f64, self.gap > 0, "at least 1 update")?;
        in_range("scale", self.scale, finite(self.scale), "more than 0")?;
        in_range("beta_1", self.beta_1, moment(self.beta_1), "0 to 1")?;
        in_range("beta_2", self.beta_2, moment(self.beta_2), "0 to 1")?;
        in_range("epsilon", self.epsilon, self.epsilon > 0.0, "more than 0")?;
        in_range("weight_decay", decay, decay >= 0.0, "at least 0")
    }

    /// The optimizer; put it inside a [`ClipGradNorm`](super::ClipGradNorm).
    pub fn optimizer<M: AutodiffModule<B>, B: AutodiffBackend>(&self) -> GaLore<M, B> {
        GaLore::new(*self)
    }

    fn adamw(&self) -> AdamW {
        AdamW {
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            bias_correction: self.bias_correction,
        }
    }
}

/// Where the projections come from.
#[derive(Clone, Debug, Default)]
pub enum Projections {
    /// From the singular value decomposition of the gradient, on the host.
    #[default]
    Computed,
    /// Given, `[refresh][path of the layer]`, `[rank, min(n, m)]` each, to replay another program's run.
    Recorded(Arc<Vec<BTreeMap<String, TensorData>>>),
}

/// Why a weight has no new projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// The gradient has no singular vectors.
    #[error(transparent)]
    Svd(#[from] SvdError),
    /// The replayed run has none for this weight and refresh, or one of another shape.
    #[error("no projection was recorded")]
    NotRecorded,
}

/// A projection that could not be computed: the weight keeps the one it had. Without one it does not move in this update,
/// and the next one tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedProjection {
    /// Path of the layer in the module.
    pub path: String,
    /// What was wrong.
    pub reason: ProjectionError,
}

/// GaLore's optimizer. Created by [`GaLoreConfig::optimizer`].
///
/// An update with a new projection waits for the device, since the decomposition is done on the host.
#[derive(Clone, Debug)]
pub struct GaLore<M, B: AutodiffBackend> {
    config: GaLoreConfig,
    projections: Projections,
    host: Undecided<HostState>,
    moments: HashMap<ParamId, Moments<B::InnerBackend>>,
    /// `[rank, min(n, m)]` each.
    projected: HashMap<ParamId, Tensor<B::InnerBackend, 2>>,
    last_failures: Vec<FailedProjection>,
    restored: Option<OptimizerRecord>,
    module: PhantomData<M>,
}

/// What follows from the updates that happened and lives on the host.
#[derive(Clone, Debug, Default)]
struct HostState {
    updates: u64,
    failures: u64,
    counts: HashMap<ParamId, Vec<u32>>,
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> GaLore<M, B> {
    fn new(config: GaLoreConfig) -> Self {
        Self {
            config,
            projections: Projections::default(),
            host: Undecided::default(),
            moments: HashMap::new(),
            projected: HashMap::new(),
            last_failures: Vec::new(),
            restored: None,
            module: PhantomData,
        }
    }

    /// Takes the projections from elsewhere.
    pub fn with_projections(mut self, projections: Projections) -> Self {
        self.projections = projections;
        self
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &GaLoreConfig {
        &self.config
    }

    /// Updates that happened; waits for the last decision.
    pub fn updates(&self) -> u64 {
        match &self.restored {
            Some(record) => record.updates,
            None => self.host.settled().updates,
        }
    }

    /// Projections that could not be computed so far; waits for the last decision.
    pub fn failures(&self) -> u64 {
        match &self.restored {
            Some(record) => record.failed_projections,
            None => self.host.settled().failures,
        }
    }

    /// The projections that could not be computed in the last update.
    pub fn last_failures(&self) -> &[FailedProjection] {
        &self.last_failures
    }

    fn restore(&mut self, record: OptimizerRecord, device: &B::Device) {
        (self.moments, self.host.counts) = load_moments(record.moments, device);
        (self.host.updates, self.host.failures) = (record.updates, record.failed_projections);
        let projections = record.projections.into_iter().map(|(id, projection)| {
            (
                ParamId::deserialize(&id),
                Tensor::from_data(projection, device),
            )
        });
        self.projected = projections.collect();
    }

    fn count(&self, id: ParamId) -> u32 {
        let counts = self.host.counts.get(&id);
        counts
            .and_then(|counts| counts.first().copied())
            .unwrap_or_default()
    }

    /// Whether a weight gets a new projection in this update.
    fn is_due(&self, weight: &PlainWeight) -> bool {
        let count = u64::from(self.count(weight.id));
        !self.projected.contains_key(&weight.id) || count.is_multiple_of(self.config.gap)
    }

    /// Gives the weights that are due new projections from their gradients, all read at once and decomposed side by side.
    fn refresh(&mut self, due: &[&PlainWeight], gradients: &GradientsParams) {
        let gradients = due.iter().filter_map(|weight| {
            let gradient = gradients.get::<B::InnerBackend, 2>(weight.id)?;
            Some((*weight, gradient))
        });
        let gradients: Vec<_> = gradients.collect();
        let Some(device) = gradients.first().map(|(_, gradient)| gradient.device()) else {
            return;
        };
        let found: Vec<Result<TensorData, ProjectionError>> = match &self.projections {
            Projections::Recorded(recorded) => {
                let of = |weight: &PlainWeight| self.recorded(recorded, weight);
                gradients.iter().map(|(weight, _)| of(weight)).collect()
            }
            Projections::Computed => {
                let all = gradients.iter();
                let read = all.fold(Transaction::default(), |all, (_, gradient)| {
                    all.register(gradient.clone())
                });
                let read = read.execute();
                let rank = self.config.rank;
                let decompose = |data: &TensorData| Ok(leading_vectors(data, rank)?);
                read.par_iter().map(decompose).collect()
            }
        };
        for ((weight, _), found) in gradients.into_iter().zip(found) {
            match found {
                Ok(projection) => {
                    let projection = Tensor::from_data(projection, &device);
                    self.projected.insert(weight.id, projection);
                }
                Err(reason) => self.last_failures.push(FailedProjection {
                    path: weight.path.clone(),
                    reason,
                }),
            }
        }
        self.host.failures += self.last_failures.len() as u64;
    }

    fn recorded(
        &self,
        recorded: &[BTreeMap<String, TensorData>],
        weight: &PlainWeight,
    ) -> Result<TensorData, ProjectionError> {
        let number = u64::from(self.count(weight.id)) / self.config.gap;
        let [n, m] = weight.shape;
        let projection = recorded
            .get(number as usize)
            .and_then(|all| all.get(&weight.path))
            .filter(|data| data.shape.as_slice() == [self.config.rank, n.min(m)]);
        let projection = projection.ok_or(ProjectionError::NotRecorded)?;
        match projection.iter::<f32>().all(|value| value.is_finite()) {
            true => Ok(projection.clone()),
            false => Err(SvdError::NotFinite.into()),
        }
    }

    /// The change of a projected weight with this gradient.
    fn change(
        &mut self,
        weight: &PlainWeight,
        gradient: Tensor<B::InnerBackend, 2>,
        projection: Tensor<B::InnerBackend, 2>,
        learning_rate: f64,
        guard: &Guard<B::InnerBackend>,
    ) -> Absorbed<B::InnerBackend> {
        let [n, m] = weight.shape;
        let low = match n <= m {
            true => projection.clone().matmul(gradient), // [rank, m]
            false => projection.clone().matmul(gradient.transpose()), // [rank, n]
        };
        let counts = self.host.counts.entry(weight.id);
        let counts = counts.or_insert_with(|| vec![0]);
        counts[0] += 1;
        let adamw = AdamW {
            weight_decay: 0.0,
            ..self.config.adamw()
        };
        let (step, moments) = adamw.update(
            learning_rate,
            low.zeros_like(),
            Some(low),
            self.moments.remove(&weight.id),
            counts,
            RowPlan::default(),
            guard,
        );
        if let Some(moments) = moments {
            self.moments.insert(weight.id, moments);
        }
        let step = step * self.config.scale;
        let (left, right) = match n <= m {
            true => (projection, step),
            false => (step, projection),
        };
        Absorbed {
            left,
            right,
            remaining: 1.0 - learning_rate * self.config.weight_decay,
        }
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> GuardedOptimizer<M, B> for GaLore<M, B> {
    fn step_guarded(
        &mut self,
        learning_rate: LearningRate,
        module: M,
        mut gradients: GradientsParams,
        guard: Guard<B::InnerBackend>,
    ) -> M {
        self.host.settle();
        self.last_failures.clear();
        if let Some(record) = self.restored.take() {
            let devices = module.devices();
            self.restore(record, &devices.into_iter().next().unwrap_or_default());
        }
        let known = matches!(guard, Guard::Known { .. });
        if known && !guard.accepted() {
            return module;
        }
        let weights = plain_weights::<B, M>(&module);
        let mut planned = Planned::default();
        let (projected, whole): (Vec<_>, Vec<_>) = weights
            .iter()
            .partition(|weight| self.config.rank < weight.shape[0].min(weight.shape[1]));
        for weight in whole {
            let plan = RowPlan {
                rate: self.config.scale,
                ..RowPlan::default()
            };
            planned.rows.insert(weight.id, plan);
        }
        let due = projected.iter().copied();
        let due: Vec<_> = due.filter(|weight| self.is_due(weight)).collect();
        // A projection cannot be taken back, so the decision is waited for, as the gradients are.
        if !due.is_empty() && !guard.accepted() {
            return module;
        }
        self.host.begin(&guard);
        self.refresh(&due, &gradients);
        for weight in projected {
            let Some(gradient) = gradients.remove::<B::InnerBackend, 2>(weight.id) else {
                continue;
            };
            let Some(projection) = self.projected.get(&weight.id).cloned() else {
                continue;
            };
            let change = self.change(weight, gradient, projection, learning_rate, &guard);
            planned.weights.insert(weight.id, change);
        }
        self.host.updates += 1;
        module.map(&mut Update::<B> {
            adamw: self.config.adamw(),
            learning_rate,
            gradients,
            planned,
            guard,
            moments: &mut self.moments,
            counts: &mut self.host.counts,
        })
    }
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> Optimizer<M, B> for GaLore<M, B> {
    type Record = OptimizerRecord;

    fn step(&mut self, learning_rate: LearningRate, module: M, gradients: GradientsParams) -> M {
        self.step_guarded(learning_rate, module, gradients, Guard::open())
    }

    fn step_multi(&mut self, lr: LearningRate, module: M, gradients: MultiGradientsParams) -> M {
        let gradients = join(&module, gradients);
        self.step(lr, module, gradients)
    }

    fn to_record(&self) -> OptimizerRecord {
        if let Some(record) = &self.restored {
            return record.clone();
        }
        let host = self.host.settled();
        let projections = self.projected.iter();
        let projections = projections.map(|(id, tensor)| (id.serialize(), tensor.to_data()));
        OptimizerRecord {
            updates: host.updates,
            moments: read_moments(&self.moments, &host.counts),
            projections: projections.collect(),
            failed_projections: host.failures,
            ..OptimizerRecord::default()
        }
    }

    /// The tensors go to the device of the module with the next update.
    fn load_record(self, record: OptimizerRecord) -> Self {
        Self {
            restored: Some(record),
            ..Self::new(self.config).with_projections(self.projections)
        }
    }
}
