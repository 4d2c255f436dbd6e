//! Times one update of each method: forward, backward, optimizer and switch separately.
//!
//! The methods take turns, update by update, on the same random tokens, so that other load on the machine affects them
//! all alike. A time is the median over the updates after a warm-up. Each phase ends by waiting for the device
//! ([`Backend::sync`](burn::tensor::backend::Backend::sync)), so that its work is counted in its own phase. A training
//! does not wait there: on a GPU, which computes later than it is asked to, the time of the whole update is that of
//! another update, which waits at its end alone.
//!
//! A method that switches is updated with two optimizers in turn, one with its schedule and one with the schedule
//! `Never`. The time of the optimizer is the median without switches; the time of the switch is the difference of the
//! medians. The switching frequency is that of the start of the paper's schedule, once in 40 updates for each vector;
//! later in the schedule switches are rarer.
//!
//! A [`Peer`], if there is one, takes its turn after the methods.

mod bench;
mod lane;
mod method;
mod peer;
mod report;

pub use bench::{StepBench, StepError, check_batch};
pub(crate) use method::timed;
pub use peer::{Peer, PeerError};
pub use report::{PEER, StepReport, Table};

use crate::tokens::RandomTokens;
use burn::tensor::backend::AutodiffBackend;
use lane::Lane;
use switchlora_train::backend::Job;

/// Number of updates before the first timed one: they create moments, compile and tune kernels, and freeze rows.
const WARM_UP: usize = 3;

/// A [`StepBench`] as a job for [`run_on`](switchlora_train::backend::run_on).
pub struct StepJob<'a> {
    /// The settings.
    pub bench: &'a StepBench,
    /// Name of the backend in reports.
    pub backend: &'a str,
    /// PyTorch, if its updates are to be timed too.
    pub peer: Option<&'a mut Peer>,
    /// Called after each round with the number of rounds done and the number of all rounds.
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
        let shape = [bench.batch_size, bench.sequence_length];
        let batches = RandomTokens::<B>::new(bench.config.vocab_size, shape, bench.seed, &device);
        let rounds = WARM_UP + bench.updates;
        for (round, batch) in batches.take(rounds).enumerate() {
            for lane in &mut lanes {
                if round == WARM_UP {
                    lane.forget();
                }
                lane.round(&batch)?;
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
