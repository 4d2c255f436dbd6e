//! A value the device will have computed later, read by a thread of its own so that no update waits for it.
//!
//! Reading a tensor waits for everything queued before it. An update never does that: it hands the read to the one reader
//! thread of the process and goes on to queue more work; whoever needs the value asks for it when it is there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;

/// A value that is, or will be, known to the host. Clones share it.
#[derive(Clone, Debug)]
pub struct Deferred<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Pending,
    Ready(T),
    Failed,
}

type Job = Box<dyn FnOnce() + Send>;

/// The process's reader thread, started with the first read.
fn reader() -> &'static Mutex<Sender<Job>> {
    static READER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    READER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        thread::spawn(move || jobs.into_iter().for_each(|job| job()));
        Mutex::new(sender)
    })
}

impl<T: Clone + Send + 'static> Deferred<T> {
    /// A value that is known already.
    pub fn ready(value: T) -> Self {
        Self::with(State::Ready(value))
    }

    /// A value that `read` returns, called on the reader thread after the reads asked for before it.
    pub fn read(read: impl FnOnce() -> T + Send + 'static) -> Self {
        let deferred = Self::with(State::Pending);
        let shared = deferred.0.clone();
        let job: Job = Box::new(move || {
            let state = match catch_unwind(AssertUnwindSafe(read)) {
                Ok(value) => State::Ready(value),
                Err(_) => State::Failed,
            };
            *shared.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
            shared.arrived.notify_all();
        });
        let sender = reader().lock().unwrap_or_else(PoisonError::into_inner);
        // The thread lives as long as the process; should it be gone, the read happens here.
        if let Err(job) = sender.send(job) {
            (job.0)();
        }
        deferred
    }

    /// What `map` makes of the value.
    ///
    /// It is queued behind the value on the reader thread, so it never waits there.
    pub fn map<U: Clone + Send + 'static>(
        &self,
        map: impl FnOnce(T) -> U + Send + 'static,
    ) -> Deferred<U> {
        let value = self.clone();
        Deferred::read(move || map(value.get()))
    }

    /// The value, waiting for it if need be.
    ///
    /// # Panics
    ///
    /// When the read itself panicked, which means that the device was lost.
    pub fn get(&self) -> T {
        let mut state = self.lock();
        loop {
            match &*state {
                State::Ready(value) => return value.clone(),
                State::Failed => panic!("reading a value back from the device failed"),
                State::Pending => {
                    state = self
                        .0
                        .arrived
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Whether [`get`](Self::get) would return at once.
    pub fn is_ready(&self) -> bool {
        !matches!(*self.lock(), State::Pending)
    }

    fn with(state: State<T>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            arrived: Condvar::new(),
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_arrives_once_for_every_clone() {
        let deferred = Deferred::read(|| 7);
        let clone = deferred.clone();
        assert_eq!((deferred.get(), clone.get()), (7, 7));
        assert!(clone.is_ready());
    }

    #[test]
    fn a_failed_read_is_told_to_whoever_asks_and_does_not_stop_the_next() {
        let failed: Deferred<u32> = Deferred::read(|| panic!("device lost"));
        assert!(catch_unwind(AssertUnwindSafe(|| failed.get())).is_err());
        assert_eq!(Deferred::read(|| 1).get(), 1);
    }
}
