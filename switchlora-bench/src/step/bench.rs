//! The settings of a step bench, and their limits.

use super::peer::PeerError;
use switchlora_core::{Candidates, ConfigError, Method, PoolPrecision, Precision};
use switchlora_train::model::{LlamaConfig, Recompute};
use switchlora_train::training::UpdateError;

/// Largest number of tokens in a batch: more than any device can hold, and no overflow.
const MOST_TOKENS: usize = 1 << 24;

/// Settings of a step bench.
#[derive(Clone, Debug)]
pub struct StepBench {
    /// Name of the model in reports.
    pub model: String,
    /// The model.
    pub config: LlamaConfig,
    /// Rank of the LoRA factors or projections.
    pub rank: usize,
    /// Dtype of the matrix products.
    pub precision: Precision,
    /// Dtype of the frozen weights in memory.
    pub frozen: Precision,
    /// Where candidate vectors come from.
    pub candidates: Candidates,
    /// In how many bits the numbers of candidate vectors are kept.
    pub pool_precision: PoolPrecision,
    /// Activations that the backward pass computes again.
    pub recompute: Recompute,
    /// Whether methods with a rank train a plain model, whose factors the optimizer holds.
    pub plain: bool,
    /// Sequences per batch.
    pub batch_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// The methods, in the order in which they take turns.
    pub methods: Vec<Method>,
    /// Number of updates to time.
    pub updates: usize,
    /// Time the switches by themselves, with a second optimizer that never switches. Without, the memory is that of a
    /// training.
    pub switch_time: bool,
    /// Seed of the random weights and tokens.
    pub seed: u64,
}

/// Why a step bench cannot run.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The rank is 0 or larger than the model allows.
    #[error(
        "rank is {rank}: expected 1 to {most}, the width of the model's largest projection; change --rank"
    )]
    Rank {
        /// The given rank.
        rank: usize,
        /// The largest rank.
        most: usize,
    },
    /// The sequence is longer than the model's positions.
    #[error(
        "sequence length is {length}: expected 1 to {most}, the positions of model {model}; change --sequence-length"
    )]
    Sequence {
        /// The given length.
        length: usize,
        /// The longest sequence.
        most: usize,
        /// The model.
        model: String,
    },
    /// The batch is empty or too large.
    #[error(
        "a batch has {batch} sequences of {length} tokens: expected 1 to {MOST_TOKENS} tokens; change --batch-size"
    )]
    Batch {
        /// Sequences per batch.
        batch: usize,
        /// Tokens per sequence.
        length: usize,
    },
    /// A number of something to time is 0.
    #[error("{0} is 0: expected at least 1")]
    Nothing(&'static str),
    /// An update could not be done.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The method's settings contradict each other.
    #[error(transparent)]
    Method(#[from] ConfigError),
    /// PyTorch cannot be used.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl StepBench {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), StepError> {
        let most = self.config.hidden_size.max(self.config.intermediate_size);
        if !(1..=most).contains(&self.rank) {
            let rank = self.rank;
            return Err(StepError::Rank { rank, most });
        }
        check_batch(
            &self.model,
            &self.config,
            self.batch_size,
            self.sequence_length,
        )?;
        match (self.updates, self.methods.is_empty()) {
            (0, _) => Err(StepError::Nothing("the number of updates")),
            (_, true) => Err(StepError::Nothing("the number of methods")),
            _ => Ok(()),
        }
    }
}

/// Checks that a model takes batches of `batch` sequences of `length` tokens.
///
/// # Errors
///
/// The sequence does not fit the model's positions, or the batch is empty or too large.
pub fn check_batch(
    model: &str,
    config: &LlamaConfig,
    batch: usize,
    length: usize,
) -> Result<(), StepError> {
    let most = config.max_position_embeddings;
    if !(1..=most).contains(&length) {
        return Err(StepError::Sequence {
            length,
            most,
            model: model.to_owned(),
        });
    }
    match (1..=MOST_TOKENS).contains(&batch.saturating_mul(length)) {
        true => Ok(()),
        false => Err(StepError::Batch { batch, length }),
    }
}
