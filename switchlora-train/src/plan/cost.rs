//! The cost of each method on a model, from the closed forms of [`switchlora_core::cost`].

use super::activations::Batch;
use crate::experiment::Method;
use crate::model::{LlamaConfig, LlamaConfigError};
use serde::Serialize;
use serde_json::{Value, json};
use switchlora_core::cost::Cost;
use switchlora_core::{Candidates, ConfigError, PoolPrecision, Precision};

/// The cost of each method on one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The user's name of the model: a preset or a file.
    pub model: String,
    /// The model.
    pub config: LlamaConfig,
    /// Rank of the factors and projections; `None` if no method has a rank.
    pub rank: Option<usize>,
    /// Dtype of the frozen weights in memory.
    pub frozen: Precision,
    /// Where the candidate vectors come from.
    pub candidates: Candidates,
    /// In how many bits the numbers of the candidate vectors are kept.
    pub pool_precision: PoolPrecision,
    /// Whether the optimizer holds the factors beside plain weights.
    pub plain: bool,
    /// The processes that divide the optimizer's state.
    pub processes: u32,
    /// The micro-batch, if the memory that it needs is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// A row for each method, in the order asked for.
    pub rows: Vec<PlanRow>,
}

/// The cost of one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanRow {
    /// The method.
    pub method: Method,
    /// Its cost.
    #[serde(flatten)]
    pub cost: Cost,
    /// Bytes of weights, gradients, optimizer state and candidate vectors together.
    pub state_bytes: u64,
    /// Bytes of the activations that a micro-batch keeps for its backward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_bytes: Option<u64>,
    /// Bytes at the moment of an update when most are alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Bytes of the process at that moment, on a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_bytes: Option<u64>,
    /// Reduction of gradient traffic compared with full training, in percent; negative for an increase.
    pub traffic_saving_percent: f64,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] LlamaConfigError),
    /// A method that has a rank was given none.
    #[error("method `{method}` has no rank: expected 1 to {most}; give --rank", method = method.name())]
    MissingRank {
        /// The first such method.
        method: Method,
        /// The largest rank.
        most: usize,
    },
    /// A method cannot train the model at this rank.
    #[error(transparent)]
    Method(#[from] ConfigError),
    /// The rank is 0, or larger than the width of every projection.
    #[error("rank is {rank}: expected 1 to {most}; change --rank")]
    Rank {
        /// The rank asked for.
        rank: usize,
        /// The largest rank.
        most: usize,
    },
}

impl Plan {
    /// Returns the cost of each of `methods` on `config`, which the user calls `model`.
    ///
    /// # Errors
    ///
    /// The model is not valid, a method has no rank, or the rank is out of range.
    pub fn new(
        model: &str,
        config: &LlamaConfig,
        rank: Option<usize>,
        methods: &[Method],
    ) -> Result<Self, PlanError> {
        config.validate()?;
        let shape = config.shape();
        let widest = config.hidden_size.max(config.intermediate_size);
        let largest = methods
            .iter()
            .filter_map(|method| method.largest_rank(&shape));
        let most = largest.min().unwrap_or(widest);
        for method in methods {
            method.validate_rank(rank.unwrap_or(1), &shape)?;
        }
        match (rank, methods.iter().find(|method| method.uses_rank())) {
            (Some(rank), _) if !(1..=most).contains(&rank) => {
                return Err(PlanError::Rank { rank, most });
            }
            (None, Some(&method)) => return Err(PlanError::MissingRank { method, most }),
            _ => {}
        }
        let full = Method::Full.cost(&shape, 0);
        let row = |&method: &Method| {
            let cost = method.cost(&shape, rank.unwrap_or(0));
            PlanRow {
                method,
                cost,
                state_bytes: cost.state_bytes(),
                activation_bytes: None,
                peak_bytes: None,
                process_bytes: None,
                traffic_saving_percent: cost.traffic_saving_percent(&full),
            }
        };
        Ok(Self {
            model: model.to_owned(),
            config: config.clone(),
            rank,
            frozen: Precision::F32,
            candidates: Candidates::Drawn,
            pool_precision: PoolPrecision::F32,
            plain: false,
            processes: 1,
            batch: None,
            rows: methods.iter().map(row).collect(),
        })
    }

    /// Returns the plan with frozen weights of another dtype than f32.
    pub fn with_frozen(mut self, precision: Precision) -> Self {
        self.frozen = precision;
        for row in &mut self.rows {
            row.cost = row.cost.with_frozen(precision);
        }
        self.derived()
    }

    /// Returns the plan with these candidate vectors, their numbers in as many bits.
    pub fn with_pools(mut self, candidates: Candidates, precision: PoolPrecision) -> Self {
        (self.candidates, self.pool_precision) = (candidates, precision);
        let vectors = self.config.shape().spare_vectors(self.rank.unwrap_or(0));
        for row in &mut self.rows {
            row.cost = row.cost.with_pools(candidates.pools(precision), vectors);
        }
        self.derived()
    }

    /// Returns the plan with factors that the optimizer holds beside plain weights.
    pub fn with_plain_weights(mut self) -> Self {
        self.plain = true;
        let others = self.config.shape().other_parameters;
        for row in self.rows.iter_mut().filter(|row| row.method.freezes()) {
            row.cost = row.cost.with_plain_weights(others);
        }
        self.derived()
    }

    /// Returns the plan of one of so many processes that divide the optimizer's state.
    pub fn with_processes(mut self, processes: u32) -> Self {
        self.processes = processes;
        for row in &mut self.rows {
            row.cost = row.cost.with_moments_among(processes.into());
        }
        self.derived()
    }

    /// Returns the plan with the memory of a micro-batch.
    pub fn with_batch(mut self, batch: Batch) -> Self {
        self.batch = Some(batch);
        self.derived()
    }

    /// Computes again what follows from the costs and the micro-batch.
    fn derived(mut self) -> Self {
        for row in &mut self.rows {
            let batch = self.batch;
            row.state_bytes = row.cost.state_bytes();
            row.activation_bytes = batch.map(|batch| batch.activation_bytes(&self.config));
            row.peak_bytes = batch.map(|batch| batch.peak_bytes(&self.config, &row.cost));
            row.process_bytes = batch.map(|batch| batch.process_bytes(&self.config, &row.cost));
        }
        self
    }

    /// Returns the plan for programs: `model`, `config`, `rank`, and the exact numbers in `rows`.
    pub fn to_json(&self) -> Value {
        json!(self)
    }
}
