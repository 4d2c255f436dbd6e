//! The settings of a step bench, and their limits.

use super::peer::PeerError;
use switchlora_core::{ConfigError, Method, Precision};
use switchlora_train::model::LlamaConfig;
use switchlora_train::training::OutOfBatches;

/// The most tokens in a batch: far more than any device takes, few enough to be counted.
const MOST_TOKENS: usize = 1 << 24;

/// What is timed.
#[derive(Clone, Debug)]
pub struct StepBench {
    /// What the user calls the model.
    pub model: String,
    /// The model.
    pub config: LlamaConfig,
    /// Rank of the factors.
    pub rank: usize,
    /// What products are computed in.
    pub precision: Precision,
    /// What frozen weights rest in.
    pub frozen: Precision,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// The methods, in the order in which they take turns.
    pub methods: Vec<Method>,
    /// Updates that are timed.
    pub updates: usize,
    /// Names the random weights and tokens.
    pub seed: u64,
}

/// Why nothing can be timed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The rank is none of the model.
    #[error(
        "rank is {rank}: expected 1 to {most}, the width of the model's largest projection; change --rank"
    )]
    Rank {
        /// What was asked for.
        rank: usize,
        /// The largest rank.
        most: usize,
    },
    /// The sequence is longer than the model's positions.
    #[error(
        "sequence length is {length}: expected 1 to {most}, the positions of model {model}; change --sequence-length"
    )]
    Sequence {
        /// What was asked for.
        length: usize,
        /// The longest sequence.
        most: usize,
        /// The model.
        model: String,
    },
    /// The batch is empty or absurd.
    #[error(
        "a batch has {batch} sequences of {length} tokens: expected 1 to {MOST_TOKENS} tokens; change --batch-size"
    )]
    Batch {
        /// Sequences.
        batch: usize,
        /// Tokens in each.
        length: usize,
    },
    /// Nothing is to be timed.
    #[error("{0} is 0: expected at least 1")]
    Nothing(&'static str),
    /// A training got no batch.
    #[error(transparent)]
    Batches(#[from] OutOfBatches),
    /// The method's settings contradict each other.
    #[error(transparent)]
    Method(#[from] ConfigError),
    /// What it is compared with.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl StepBench {
    /// Whether it can be timed at all.
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
        let (length, most) = (self.sequence_length, self.config.max_position_embeddings);
        if !(1..=most).contains(&length) {
            let model = self.model.clone();
            return Err(StepError::Sequence {
                length,
                most,
                model,
            });
        }
        let batch = self.batch_size;
        if !(1..=MOST_TOKENS).contains(&batch.saturating_mul(length)) {
            return Err(StepError::Batch { batch, length });
        }
        match (self.updates, self.methods.is_empty()) {
            (0, _) => Err(StepError::Nothing("the number of updates")),
            (_, true) => Err(StepError::Nothing("the number of methods")),
            _ => Ok(()),
        }
    }
}

/// The median; 0 of no times.
pub(super) fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
