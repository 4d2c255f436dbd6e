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

mod bench;
mod lane;
mod method;
mod peer;
mod report;

pub use bench::{StepBench, StepError};
pub(crate) use method::timed;
pub use peer::{Peer, PeerError};
pub use report::{PEER, StepReport, Table};

use crate::tokens::RandomTokens;
use burn::tensor::backend::AutodiffBackend;
use lane::Lane;
use switchlora_train::backend::Job;

/// Updates before the first that is timed: moments are made, kernels are compiled and tuned, rows are frozen.
const WARM_UP: usize = 3;

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
