//! Waiting for other processes.

use super::message::{tag, taken};
use ::mpi::topology::SimpleCommunicator;
use std::thread;
use std::time::{Duration, Instant};

/// How long a waiting process gives its core to others before it begins to sleep between two looks.
const AWAKE: Duration = Duration::from_millis(2);
/// How much longer for each byte that is under way: as long as half a gigabyte a second takes.
const NANOSECONDS: u64 = 2;
/// The time between two looks of a process that sleeps.
const NAP: Duration = Duration::from_micros(50);
/// How long a process that has given up listens for the others that have, and how long one must have stood still to have
/// been stopped itself.
pub const GRACE: Duration = Duration::from_secs(1);

/// A wait for other processes.
pub struct Wait {
    began: Instant,
    /// How long it only yields.
    awake: Duration,
    /// When a process was last heard of.
    heard: Instant,
    /// When this process last looked.
    looked: Instant,
}

impl Wait {
    pub fn begin() -> Self {
        Self::for_bytes(0)
    }

    /// A wait in which so many bytes are exchanged. MPI moves them only while it is asked, so a process that naps is slower than
    /// memory.
    pub fn for_bytes(bytes: usize) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            awake: AWAKE + Duration::from_nanos(bytes as u64 * NANOSECONDS),
            heard: now,
            looked: now,
        }
    }

    /// Waits a moment. Returns whether a busy process was heard of within the time limit.
    pub fn goes_on(&mut self, world: &SimpleCommunicator, limit: Duration) -> bool {
        while taken(world, tag::ALIVE).is_some() {
            self.heard = Instant::now();
        }
        match self.began.elapsed() < self.awake {
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
