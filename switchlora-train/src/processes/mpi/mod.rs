//! Processes that MPI started, and their messages.
//!
//! Every message is sent and received without blocking, so that a process that waits can give up: a collective call of
//! MPI waits for ever for a process that is stopped.

mod arriving;
mod message;
mod wait;

use super::launch_error::LaunchError;
use super::{Lost, Processes, gather};
use crate::signals::INTERRUPTED;
use ::mpi::Threading;
use ::mpi::environment::Universe;
use ::mpi::point_to_point::Destination;
use ::mpi::point_to_point::Source;
use ::mpi::request::StaticScope;
use ::mpi::topology::{Communicator, SimpleCommunicator};
use arriving::{arriving, speak};
use message::{Message, forever, forever_mut, tag, taken, under_way};
use std::collections::BTreeSet;
use std::fmt;
use std::mem::{ManuallyDrop, forget};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use wait::{GRACE, Wait};

/// The processes of `mpirun`, `mpiexec` or `srun`.
pub struct Mpi {
    /// Finalizes MPI when it is dropped, which waits for all processes.
    universe: ManuallyDrop<Universe>,
    /// One thread talks at a time.
    world: Mutex<World>,
    rank: usize,
    size: usize,
    timeout: Duration,
    /// The machine of each process.
    machines: Vec<String>,
    /// The first failure that another process has told.
    told: OnceLock<Failure>,
    /// The first loss.
    lost: OnceLock<Lost>,
    /// A failure ends the processes.
    failed: AtomicBool,
}

/// What another process has told before it ended.
struct Failure {
    rank: usize,
    lost: Lost,
    heard: Instant,
}

impl Failure {
    /// Whether it ends the exchange that still lacks the messages `coming`. One that the process took part in goes on: what
    /// it has found out by it all find out, each for itself.
    fn ends(&self, coming: &[(usize, Message)]) -> bool {
        let lacks_its_part = coming.iter().any(|(rank, _)| *rank == self.rank);
        lacks_its_part || self.heard.elapsed() > GRACE
    }
}

/// All processes.
struct World(SimpleCommunicator);

// SAFETY: it is a handle of MPI, which was started for calls from any thread, one at a time; the lock sees to that.
unsafe impl Send for World {}

impl Mpi {
    /// Starts MPI. `timeout` is how long a process may leave the others waiting, `launched` the number of this one as its
    /// launcher says.
    ///
    /// Returns `None` if MPI has been started in this process before.
    ///
    /// # Errors
    ///
    /// MPI cannot be called from several threads, or a process starts and then does not answer.
    pub fn start(launched: usize, timeout: Duration) -> Option<Result<Self, LaunchError>> {
        let arriving = arriving(launched, timeout);
        let (universe, threading) = ::mpi::initialize_with_threading(Threading::Serialized)?;
        drop(arriving);
        if threading < Threading::Serialized {
            return Some(Err(LaunchError::OneThread));
        }
        let world = universe.world();
        let mut mpi = Self {
            universe: ManuallyDrop::new(universe),
            rank: world.rank() as usize,
            size: world.size() as usize,
            world: Mutex::new(World(world)),
            timeout,
            machines: Vec::new(),
            told: OnceLock::new(),
            lost: OnceLock::new(),
            failed: AtomicBool::new(false),
        };
        let machine = ::mpi::environment::processor_name().unwrap_or_default();
        let machines = gather(&mpi, machine.into_bytes());
        let machines = machines.map_err(LaunchError::Lost);
        Some(machines.map(|machines| {
            let name = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            mpi.machines = machines.into_iter().map(name).collect();
            mpi
        }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up waiting for `ranks`, and finds out with the others which of them are lost: one that is stopped may have
    /// answered some of the others, which then wait for those that wait for it. Who has given up too is not lost.
    fn give_up(&self, world: &SimpleCommunicator, ranks: Vec<usize>) -> Lost {
        let message: Vec<u8> = ranks
            .iter()
            .flat_map(|&rank| (rank as u32).to_le_bytes())
            .collect();
        self.leave(world, &message, tag::SILENT);
        let mut missed: BTreeSet<usize> = ranks.iter().copied().collect();
        let mut alive = BTreeSet::from([self.rank]);
        let began = Instant::now();
        while began.elapsed() < GRACE {
            while let Some((from, message)) = taken(world, tag::SILENT) {
                let (numbers, _) = message.as_chunks();
                let numbers = numbers.iter().copied().map(u32::from_le_bytes);
                missed.extend(numbers.map(|rank| rank as usize));
                alive.insert(from);
            }
            thread::sleep(Duration::from_millis(1));
        }
        let lost: Vec<usize> = missed.difference(&alive).copied().collect();
        self.silent(match (lost.is_empty(), missed.contains(&self.rank)) {
            // Also if this one was missed too, as one is that waits in the exchange before: the others know that it lives,
            // and may count on it to report.
            (false, _) => lost,
            // The others have missed this one, which was stopped and goes on.
            (true, true) => vec![self.rank],
            // If all of them live, the time limit is too short for one.
            (true, false) => ranks,
        })
    }

    fn silent(&self, ranks: Vec<usize>) -> Lost {
        Lost::Silent {
            names: ranks.iter().map(|&rank| self.name(rank)).collect(),
            ranks,
            seconds: self.timeout.as_secs(),
        }
    }

    /// Takes note of a failure that another process has told, if one has.
    fn hear_of_failures(&self, world: &SimpleCommunicator) {
        if self.told.get().is_some() {
            return;
        }
        if let Some((rank, message)) = taken(world, tag::FAILED) {
            let name = self.name(rank);
            let message = String::from_utf8_lossy(&message).into_owned();
            self.told.get_or_init(|| Failure {
                rank,
                lost: Lost::Failed {
                    rank,
                    name,
                    message,
                },
                heard: Instant::now(),
            });
        }
    }

    /// Sends a short message to all others that nobody may wait for: it is never taken back.
    fn leave(&self, world: &SimpleCommunicator, bytes: &[u8], tag: i32) {
        let bytes: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
        for rank in self.others() {
            let to = world.process_at_rank(rank as i32);
            forget(to.immediate_send_with_tag(StaticScope, bytes, tag));
        }
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.rank;
        (0..self.size).filter(move |&rank| rank != own)
    }
}

impl Processes for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_rank(&self) -> usize {
        let before = &self.machines[..self.rank];
        let own = &self.machines[self.rank];
        before.iter().filter(|machine| *machine == own).count()
    }

    fn machines(&self) -> usize {
        let mut machines: Vec<_> = self.machines.iter().collect();
        machines.sort();
        machines.dedup();
        machines.len()
    }

    fn name(&self, rank: usize) -> String {
        match self.machines.get(rank) {
            Some(machine) => format!("process {rank} on {machine}"),
            None => format!("process {rank}"),
        }
    }

    fn exchange(
        &self,
        outgoing: &[Arc<Vec<u8>>],
        incoming: &[usize],
    ) -> Result<Vec<Vec<u8>>, Lost> {
        assert_eq!((outgoing.len(), incoming.len()), (self.size, self.size));
        let guard = self.world();
        let world = &guard.0;
        let kept = outgoing.to_vec();
        let mut received: Vec<Vec<u8>> = incoming.iter().map(|&length| vec![0; length]).collect();
        let mut coming: Vec<(usize, Message)> = Vec::new();
        let mut going: Vec<(usize, Message)> = Vec::new();
        for rank in self.others().filter(|&rank| incoming[rank] > 0) {
            // SAFETY: the message lives as long as the memory. Until it has come nobody reads or moves the memory, which
            // belongs to a vector that is neither grown nor shrunk; if it never comes, both are forgotten.
            let buffer = unsafe { forever_mut(&mut received[rank]) };
            let from = world.process_at_rank(rank as i32);
            let message = from.immediate_receive_into_with_tag(StaticScope, buffer, tag::EXCHANGE);
            coming.push((rank, message));
        }
        for rank in self.others().filter(|&rank| !outgoing[rank].is_empty()) {
            // SAFETY: nobody changes what several own, and `kept` owns it until the message is gone or is forgotten.
            let buffer = unsafe { forever(&kept[rank]) };
            let to = world.process_at_rank(rank as i32);
            let message = to.immediate_send_with_tag(StaticScope, buffer, tag::EXCHANGE);
            going.push((rank, message));
        }
        let bytes = |lengths: &mut dyn Iterator<Item = usize>| lengths.sum::<usize>();
        let sent = bytes(&mut going.iter().map(|(rank, _)| kept[*rank].len()));
        let mut wait = Wait::for_bytes(sent.max(bytes(&mut incoming.iter().copied())));
        let lost = loop {
            // First: what its sender has sent before has come by then.
            self.hear_of_failures(world);
            coming = under_way(coming);
            going = under_way(going);
            if coming.is_empty() && going.is_empty() {
                return Ok(received);
            }
            if let Some(failure) = self.told.get()
                && failure.ends(&coming)
            {
                break failure.lost.clone();
            }
            let others_give_up = || {
                let any = world.any_process();
                any.immediate_probe_with_tag(tag::SILENT).is_some()
            };
            if !wait.goes_on(world, self.timeout) || others_give_up() {
                let waiting = if coming.is_empty() { &going } else { &coming };
                let ranks = waiting.iter().map(|(rank, _)| *rank).collect();
                break self.give_up(world, ranks);
            }
        };
        // MPI may still write to these.
        forget((coming, going, received, kept));
        Err(self.lost.get_or_init(|| lost).clone())
    }

    fn busy(&self, work: &mut dyn FnMut()) {
        let (done, doing) = channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                while doing.recv_timeout(self.timeout / 4) == Err(RecvTimeoutError::Timeout) {
                    self.leave(&self.world().0, &[], tag::ALIVE);
                }
            });
            // Dropped also if the work panics.
            let _done = done;
            work();
        });
    }

    fn lost(&self) -> Option<Lost> {
        self.lost.get().cloned()
    }

    fn fail(&self, message: &str) {
        self.leave(&self.world().0, message.as_bytes(), tag::FAILED);
    }

    fn end(&self, status: u8) -> u8 {
        let guard = self.world();
        let world = &guard.0;
        let status = match self.rank {
            0 => {
                self.leave(world, &[status], tag::END);
                status
            }
            _ => {
                let first = world.process_at_rank(0);
                let mut wait = Wait::begin();
                while first.immediate_probe_with_tag(tag::END).is_none() {
                    if !wait.goes_on(world, self.timeout) {
                        self.failed.store(true, Ordering::Relaxed);
                        let lost = self.silent(vec![0]);
                        if lost.is_reported_by(self.rank) {
                            speak(lost);
                        }
                        return 1;
                    }
                }
                let (status, _) = first.receive_vec_with_tag::<u8>(tag::END);
                status.first().copied().unwrap_or(1)
            }
        };
        let well = status == 0 || status == INTERRUPTED;
        self.failed.store(!well, Ordering::Relaxed);
        status
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if self.lost.get().is_none() && !self.failed.load(Ordering::Relaxed) {
            // SAFETY: dropped once, and not used any more.
            unsafe { ManuallyDrop::drop(&mut self.universe) }
        }
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name(self.rank), self.size)
    }
}
