//! The processes that train one model together.
//!
//! ```text
//! launch --> Alone, or Mpi (feature `mpi`)
//!              |
//!              `-- Processes::exchange --> reduce, gather --> first, agreed
//! ```
//!
//! [`Processes`] has one way to communicate, [`exchange`](Processes::exchange): each process sends some bytes to each
//! other one. [`reduce()`], [`gather`], [`sum_streams`] and [`send_streams`] are made of it, and of them what a training needs:
//! [`first`] lets one process go before the others, [`agreed`] tells all of them what happened to one.
//!
//! Sums are taken in the order of one [tree] over the micro-batches of an update, whichever process computed
//! them, so that they have the same bits on 1, 2 and 4 processes.

mod agree;
mod alone;
pub mod launch;
mod launch_error;
mod moments;
#[cfg(feature = "mpi")]
mod mpi;
mod reduce;
mod streams;
#[cfg(test)]
mod tests;
pub mod tree;
mod turn;

pub use agree::{Different, Elsewhere, OtherStart, agreed, any, busy, first, same, same_start};
pub use alone::Alone;
pub use launch_error::LaunchError;
pub use moments::Moments;
pub use reduce::{gather, reduce};
pub use streams::{To, send_streams, sum_streams};
pub use turn::wait_for_turn;

use std::fmt::Debug;
use std::sync::Arc;

/// The processes of one training, seen from one of them.
///
/// Every process makes the same calls in the same order, from one thread at a time. What is given here is right for
/// processes that cannot be lost.
pub trait Processes: Debug + Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// The number of this process among those of its machine, from 0.
    fn local_rank(&self) -> usize;

    /// How many machines there are.
    fn machines(&self) -> usize;

    /// What process `rank` is called in messages.
    fn name(&self, rank: usize) -> String {
        format!("process {rank}")
    }

    /// Sends `outgoing[r]` to every process `r` and receives `incoming[r]` bytes from it; nothing goes to or comes from
    /// this process itself. Every process knows how much the others send.
    ///
    /// # Errors
    ///
    /// [`Lost`] if another process does not answer or has failed. No further exchange is possible then.
    ///
    /// # Panics
    ///
    /// Unless both have one entry for each process.
    fn exchange(&self, outgoing: &[Arc<Vec<u8>>], incoming: &[usize])
    -> Result<Vec<Vec<u8>>, Lost>;

    /// Does work of unknown length, such as reading all text, for which the others wait as long as this process lives.
    fn busy(&self, work: &mut dyn FnMut()) {
        work();
    }

    /// The first loss that an exchange has met.
    fn lost(&self) -> Option<Lost> {
        None
    }

    /// Tells the others, who may wait for this process, that it has failed.
    fn fail(&self, _message: &str) {}

    /// The exit status of all processes: the first one's, which the others wait for. Nothing is exchanged afterwards. If it
    /// is that of a failure, processes end without waiting for each other again.
    fn end(&self, status: u8) -> u8 {
        status
    }
}

/// Another process is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Some did not answer within the time limit.
    #[error(
        "nothing was heard from {} for {seconds} s (--timeout): look whether it still runs and whether its machine can be \
         reached",
        .names.join(", ")
    )]
    Silent {
        /// Their numbers.
        ranks: Vec<usize>,
        /// Their names.
        names: Vec<String>,
        /// The time limit.
        seconds: u64,
    },
    /// One has failed.
    #[error("{name}: {message}")]
    Failed {
        /// Its number.
        rank: usize,
        /// Its name.
        name: String,
        /// Why.
        message: String,
    },
}

impl Lost {
    /// Whether process `rank` is the one that reports this: the first that is not lost.
    pub fn is_reported_by(&self, rank: usize) -> bool {
        let lost = match self {
            Self::Silent { ranks, .. } => ranks.as_slice(),
            // It waits until its message is printed.
            Self::Failed { .. } => &[],
        };
        (0..).find(|rank| !lost.contains(rank)) == Some(rank)
    }
}
