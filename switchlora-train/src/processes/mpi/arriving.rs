//! Processes that wait for one that never arrives.

use super::super::turn::turn;
use crate::say::{be_silent, error, flush};
use crate::signals::exit_now;
use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Ends this process if MPI, which waits for ever for one that does not arrive, has not started within the time limit.
/// Dropped when it has.
pub fn arriving(launched: usize, limit: Duration) -> Sender<()> {
    let (arrived, arriving) = channel();
    thread::spawn(move || {
        if arriving.recv_timeout(limit + turn(launched)) == Err(RecvTimeoutError::Timeout) {
            let seconds = limit.as_secs();
            speak(format_args!(
                "MPI has not started within {seconds} s (--timeout): a process did not arrive"
            ));
            exit_now(1);
        }
    });
    arrived
}

/// Prints an error, also in a process that is silent.
pub fn speak(what: impl fmt::Display) {
    be_silent(false);
    error(what);
    flush(Some(Duration::from_millis(500)));
}
