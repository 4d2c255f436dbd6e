//! The memory that a snapshot shares with the training it is of.
//!
//! On Flex a [snapshot](super::Training::snapshot) is the state of the training itself, which is copied when it changes. An
//! update changes all of it in the step of the optimizer; forward and backward pass change nothing. So if this step waits
//! until the snapshot has been written, nothing is copied, and most of the writing is done while the training computes.

use super::observer::{Observer, Phase};
use burn::tensor::backend::AutodiffBackend;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel};
use switchlora_ops::reads_share_memory;

/// Held by whoever reads a snapshot; dropped when its tensors have been let go.
#[derive(Debug)]
pub struct Reading(#[allow(dead_code)] Sender<Infallible>);

/// Lets the optimizer's step of an update wait for the reader of a snapshot, where they share memory.
#[derive(Debug, Default)]
pub struct Lease(Option<Receiver<Infallible>>);

impl Lease {
    /// A lease, and what its reader holds.
    pub fn new() -> (Self, Reading) {
        let (reading, ended) = channel();
        (Self(Some(ended)), Reading(reading))
    }
}

impl<B: AutodiffBackend> Observer<B> for Lease {
    fn phase(&mut self, phase: Phase) {
        let changes = phase == Phase::Exchange && reads_share_memory::<B::InnerBackend>();
        if let Some(reading) = self.0.take_if(|_| changes) {
            // It ends without a message.
            let _ = reading.recv();
        }
    }
}
