//! Processes that MPI started, and their messages.
//!
//! Every message is sent and received without blocking, so that a process that waits can give up: a collective call of
//! MPI waits for ever for a process that is stopped.

use super::launch_error::LaunchError;
use super::{Lost, Processes, gather};
use crate::say::{be_silent, error, flush};
use crate::signals::{INTERRUPTED, exit_now};
use ::mpi::Threading;
use ::mpi::environment::Universe;
use ::mpi::point_to_point::Destination;
use ::mpi::point_to_point::Source;
use ::mpi::request::{Request, StaticScope};
use ::mpi::topology::{Communicator, SimpleCommunicator};
use std::collections::BTreeSet;
use std::fmt;
use std::mem::{ManuallyDrop, forget};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The tags of messages.
mod tag {
    /// A part of an exchange.
    pub const EXCHANGE: i32 = 1;
    /// The sender has failed; its text says why.
    pub const FAILED: i32 = 2;
    /// The exit status of all processes.
    pub const END: i32 = 3;
    /// The sender is busy, and lives.
    pub const ALIVE: i32 = 4;
    /// The sender has given up waiting, for the processes in the message.
    pub const SILENT: i32 = 5;
}

/// How long a waiting process gives its core to others before it begins to sleep between two looks.
const AWAKE: Duration = Duration::from_millis(2);
/// The time between two looks of a process that sleeps.
const NAP: Duration = Duration::from_micros(50);
/// How long a process that has given up listens for the others that have.
const GRACE: Duration = Duration::from_secs(1);

/// A message under way.
type Message = Request<'static, [u8], StaticScope>;

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
    /// The first loss.
    lost: OnceLock<Lost>,
    /// A failure ends the processes.
    failed: AtomicBool,
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
        let others = (0..self.size).filter(|&rank| rank != self.rank);
        others.for_each(|rank| self.leave(world, rank, &message, tag::SILENT));
        let mut missed: BTreeSet<usize> = ranks.iter().copied().collect();
        let mut alive = BTreeSet::from([self.rank]);
        let began = Instant::now();
        while began.elapsed() < GRACE {
            while let Some(status) = world.any_process().immediate_probe_with_tag(tag::SILENT) {
                let from = world.process_at_rank(status.source_rank());
                let (message, _) = from.receive_vec_with_tag::<u8>(tag::SILENT);
                let (numbers, _) = message.as_chunks();
                missed.extend(
                    numbers
                        .iter()
                        .map(|&rank| u32::from_le_bytes(rank) as usize),
                );
                alive.insert(status.source_rank() as usize);
            }
            thread::sleep(Duration::from_millis(1));
        }
        let lost: Vec<usize> = missed.difference(&alive).copied().collect();
        let ranks = match (missed.contains(&self.rank), lost.is_empty()) {
            // The others have missed this one, which was stopped and goes on.
            (true, _) => vec![self.rank],
            (false, false) => lost,
            // If all of them live, the time limit is too short for one.
            (false, true) => ranks,
        };
        Lost::Silent {
            names: ranks.iter().map(|&rank| self.name(rank)).collect(),
            ranks,
            seconds: self.timeout.as_secs(),
        }
    }

    /// The failure that another process has told, if one has.
    fn failure(&self, world: &SimpleCommunicator) -> Option<Lost> {
        let status = world.any_process().immediate_probe_with_tag(tag::FAILED)?;
        let from = world.process_at_rank(status.source_rank());
        let (message, _) = from.receive_vec_with_tag::<u8>(tag::FAILED);
        let rank = status.source_rank() as usize;
        Some(Lost::Failed {
            rank,
            name: self.name(rank),
            message: String::from_utf8_lossy(&message).into_owned(),
        })
    }

    /// Sends a short message that nobody may wait for: it is never taken back.
    fn leave(&self, world: &SimpleCommunicator, to: usize, bytes: &[u8], tag: i32) {
        let bytes: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
        let to = world.process_at_rank(to as i32);
        forget(to.immediate_send_with_tag(StaticScope, bytes, tag));
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
        let others = || (0..self.size).filter(|&rank| rank != self.rank);
        let mut coming: Vec<(usize, Message)> = Vec::new();
        let mut going: Vec<(usize, Message)> = Vec::new();
        for rank in others().filter(|&rank| incoming[rank] > 0) {
            // SAFETY: the message lives as long as the memory. Until it has come nobody reads or moves the memory, which
            // belongs to a vector that is neither grown nor shrunk; if it never comes, both are forgotten.
            let buffer = unsafe { forever_mut(&mut received[rank]) };
            let from = world.process_at_rank(rank as i32);
            let message = from.immediate_receive_into_with_tag(StaticScope, buffer, tag::EXCHANGE);
            coming.push((rank, message));
        }
        for rank in others().filter(|&rank| !outgoing[rank].is_empty()) {
            // SAFETY: nobody changes what several own, and `kept` owns it until the message is gone or is forgotten.
            let buffer = unsafe { forever(&kept[rank]) };
            let to = world.process_at_rank(rank as i32);
            let message = to.immediate_send_with_tag(StaticScope, buffer, tag::EXCHANGE);
            going.push((rank, message));
        }
        let mut wait = Wait::begin();
        let lost = loop {
            coming = under_way(coming);
            going = under_way(going);
            if coming.is_empty() && going.is_empty() {
                return Ok(received);
            }
            if let Some(failure) = self.failure(world) {
                break failure;
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
                    let guard = self.world();
                    let others = (0..self.size).filter(|&rank| rank != self.rank);
                    others.for_each(|rank| self.leave(&guard.0, rank, &[], tag::ALIVE));
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
        let guard = self.world();
        let world = &guard.0;
        let others = (0..self.size).filter(|&rank| rank != self.rank);
        others.for_each(|rank| self.leave(world, rank, message.as_bytes(), tag::FAILED));
    }

    fn end(&self, status: u8) -> u8 {
        let guard = self.world();
        let world = &guard.0;
        let status = match self.rank {
            0 => {
                (1..self.size).for_each(|rank| self.leave(world, rank, &[status], tag::END));
                status
            }
            _ => {
                let first = world.process_at_rank(0);
                let mut wait = Wait::begin();
                while first.immediate_probe_with_tag(tag::END).is_none() {
                    if !wait.goes_on(world, self.timeout) {
                        self.failed.store(true, Ordering::Relaxed);
                        let lost = Lost::Silent {
                            ranks: vec![0],
                            names: vec![self.name(0)],
                            seconds: self.timeout.as_secs(),
                        };
                        if lost.is_reported_by(self.rank) {
                            be_silent(false);
                            error(lost);
                            flush(Some(Duration::from_millis(500)));
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

/// A wait for other processes.
struct Wait {
    began: Instant,
    /// When a process was last heard of.
    heard: Instant,
    /// When this process last looked.
    looked: Instant,
}

impl Wait {
    fn begin() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            heard: now,
            looked: now,
        }
    }

    /// Waits a moment. Returns whether a busy process was heard of within the time limit.
    fn goes_on(&mut self, world: &SimpleCommunicator, limit: Duration) -> bool {
        let any = world.any_process();
        while let Some(status) = any.immediate_probe_with_tag(tag::ALIVE) {
            let from = world.process_at_rank(status.source_rank());
            from.receive_vec_with_tag::<u8>(tag::ALIVE);
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

/// Ends this process if MPI, which waits for ever for one that does not arrive, has not started within the time limit.
/// Dropped when it has.
fn arriving(launched: usize, limit: Duration) -> Sender<()> {
    let (arrived, arriving) = channel();
    // The first one that is there speaks: when it ends, the launcher ends the others.
    let turn = Duration::from_secs(2) * launched.min(10) as u32;
    thread::spawn(move || {
        if arriving.recv_timeout(limit + turn) == Err(RecvTimeoutError::Timeout) {
            let seconds = limit.as_secs();
            be_silent(false);
            error(format_args!(
                "MPI has not started within {seconds} s (--timeout): a process did not arrive"
            ));
            flush(Some(Duration::from_millis(500)));
            exit_now(1);
        }
    });
    arrived
}

/// The messages that have neither come nor gone.
fn under_way(messages: Vec<(usize, Message)>) -> Vec<(usize, Message)> {
    let messages = messages.into_iter();
    messages
        .filter_map(|(rank, message)| Some((rank, message.test().err()?)))
        .collect()
}

/// # Safety
///
/// The slice must not be used after its vector.
unsafe fn forever(bytes: &[u8]) -> &'static [u8] {
    unsafe { &*std::ptr::from_ref(bytes) }
}

/// # Safety
///
/// The slice must not be used after its vector, and the vector not while the slice is.
unsafe fn forever_mut(bytes: &mut [u8]) -> &'static mut [u8] {
    unsafe { &mut *std::ptr::from_mut(bytes) }
}
