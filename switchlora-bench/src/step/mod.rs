//! Times one update of each method: forward, backward, optimizer and switch apart.
//!
//! The methods take turns, update by update, on the same random tokens, so that whatever else the machine does hits all
//! alike; a number is the median over the updates after a warm-up. At the end of each phase the device is waited for
//! ([`Backend::sync`](burn::tensor::backend::Backend::sync)), so that a phase's time is the time of its work also on a
//! device that computes later. A training does not wait there, and may be faster by the overlap.
//!
//! A method that switches has two optimizers in turn, one of them with the schedule `Never`. The optimizer's time is that
//! of the update that never switches, the switch's what the other takes longer, by medians. Switches come as often as at
//! the start of the paper's schedule, once in 40 updates for each vector; they become rarer from there.
//!
//! A [`Peer`] takes its turn after them, where there is one.

mod lane;
mod method;
mod peer;
mod report;

pub(crate) use method::{algorithm, busiest};
pub use peer::{PEER, Peer, PeerError};
pub use report::{StepReport, Table};

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Int, Tensor, TensorData};
use lane::Lane;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use switchlora_core::ConfigError;
use switchlora_train::backend::Job;
use switchlora_train::experiment::{Method, Precision};
use switchlora_train::model::LlamaConfig;

/// Updates before the first that is timed: moments are made, kernels are compiled and tuned, rows are frozen.
const WARM_UP: usize = 3;

const LEARNING_RATE: f64 = 1e-3;

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

/// A [`StepBench`] to be run on a backend; [`run_on`](switchlora_train::backend::run_on) does it.
pub struct StepJob<'a> {
    /// What is timed.
    pub bench: &'a StepBench,
    /// What the reports call the backend.
    pub backend: &'a str,
    /// Whom the updates are compared with.
    pub peer: Option<&'a mut Peer>,
    /// Told of each round: how many are done, of how many.
    pub progress: &'a mut dyn FnMut(usize, usize),
}

impl Job for StepJob<'_> {
    type Output = Result<Vec<StepReport>, StepError>;

    fn run<B: AutodiffBackend>(mut self, device: B::Device) -> Self::Output {
        let bench = self.bench;
        bench.validate()?;
        let lanes = bench.methods.iter();
        let lanes = lanes.map(|&method| Lane::<B>::new(method, bench, &device));
        let mut lanes = lanes.collect::<Result<Vec<_>, _>>()?;
        let mut random = ChaCha8Rng::seed_from_u64(bench.seed);
        let rounds = WARM_UP + bench.updates;
        for round in 0..rounds {
            let tokens: [Tensor<B, 2, Int>; 2] =
                [(); 2].map(|()| tokens(bench, &mut random, &device));
            for lane in &mut lanes {
                if round == WARM_UP {
                    lane.forget();
                }
                lane.round(&tokens);
            }
            if let Some(peer) = &mut self.peer {
                if round == WARM_UP {
                    peer.forget();
                }
                peer.round()?;
            }
            (self.progress)(round + 1, rounds);
        }
        let reports = lanes.iter().map(|lane| lane.report(bench, self.backend));
        let peer = self.peer.iter().flat_map(|peer| peer.reports(bench));
        Ok(reports.chain(peer).collect())
    }
}

/// Random tokens, `[batch, sequence]`.
fn tokens<B: AutodiffBackend>(
    bench: &StepBench,
    random: &mut ChaCha8Rng,
    device: &B::Device,
) -> Tensor<B, 2, Int> {
    let shape = [bench.batch_size, bench.sequence_length];
    let vocabulary = bench.config.vocab_size as i32;
    let tokens = (0..shape[0] * shape[1]).map(|_| random.random_range(0..vocabulary));
    let tokens: Vec<i32> = tokens.collect();
    Tensor::from_data(TensorData::new(tokens, shape), device)
}

/// The middle one, 0 where there is none.
fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
