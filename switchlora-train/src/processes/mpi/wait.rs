//! Waiting for other processes.

use super::message::{tag, taken};
use ::mpi::topology::SimpleCommunicator;
use std::thread;
use std::time::{Duration, Instant};

/// How long a waiting process gives its core to others before it begins to sleep between two looks.
const AWAKE: Duration = Duration::from_millis(2);
/// The time between two looks of a process that sleeps.
const NAP: Duration = Duration::from_micros(50);
/// How long a process that has given up listens for the others that have, and how long one must have stood still to have
/// been stopped itself.
pub const GRACE: Duration = Duration::from_secs(1);

/// A wait for other processes.
pub struct Wait {
    began: Instant,
    /// When a process was last heard of.
    heard: Instant,
    /// When this process last looked.
    looked: Instant,
}

impl Wait {
    pub fn begin() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            heard: now,
            looked: now,
        }
    }

    /// Waits a moment. Returns whether a busy process was heard of within the time limit.
    pub fn goes_on(&mut self, world: &SimpleCommunicator, limit: Duration) -> bool {
        while taken(world, tag::ALIVE).is_some() {
            self.heard = Instant::now();
        }
        match self.began.elapsed() < AWAKE {
            true => thread::yield_now(),
            false => thread::sleep(NAP),
        }
        // While this process was stopped itself it could hear of nobody.
        if self.looked.elapsed() > GRACE {
            self.heard = Instant::now();
        }
        self.looked = Instant::now();
        self.heard.elapsed() <= limit
    }
}
