//! The signals that ask a program to stop. Every program of the workspace listens here and nowhere else.
//!
//! The first signal is a request to stop. Further ones repeat the request, in whatever order and however often they come:
//! when a terminal closes, the shell and the kernel each send SIGHUP, and systemd sends SIGTERM with SIGHUP. Only a person
//! ends a program at once, by a second Ctrl-C or Ctrl-\.
//!
//! A signal that is ignored when the program starts stays ignored: `nohup`, a background job of a script and
//! `trap '' TERM` ask for that.

mod requests;
#[cfg(unix)]
mod terminal;

pub use requests::Request;

use requests::Requests;
use std::io;
use std::thread;
use std::time::Instant;

/// Exit status of a program that was asked to stop.
pub const INTERRUPTED: u8 = 130;

/// What happened to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It was asked to end.
    Asked(Request),
    /// It is about to be stopped until it is continued (Ctrl-Z).
    Suspended,
    /// It goes on after it was stopped.
    Continued,
}

/// What every program does first: a file beyond the limit of its size (`ulimit -f`) is an error of the write and not the end
/// of the process, and signals that the parent held back arrive.
pub fn prepare() {
    #[cfg(unix)]
    system::prepare();
}

/// Calls `handle`, on a thread of its own, with each signal. Call it once, before the program does any work.
///
/// # Errors
///
/// The system refuses.
pub fn listen(handle: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name("signals".to_owned());
    system::listen(thread, handle)
}

/// Ends the process without waiting for other threads: they may wait for a terminal or a device that does not answer.
pub fn exit_now(status: u8) -> ! {
    #[cfg(unix)]
    // SAFETY: the call takes a number and does not return.
    unsafe {
        libc::_exit(i32::from(status))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(status))
}

/// Sends this process SIGHUP when the terminal on standard output is gone, which not every process is told: a session of
/// its own (`setsid`) is not. Its descriptors then lead nowhere, so that no thread fails or waits because of them.
///
/// # Errors
///
/// The system refuses.
pub fn watch_terminal() -> io::Result<()> {
    #[cfg(unix)]
    terminal::watch()?;
    Ok(())
}

/// Whether the terminal is gone that [`watch_terminal`] watches.
pub fn terminal_is_gone() -> bool {
    #[cfg(unix)]
    return terminal::is_gone();
    #[cfg(not(unix))]
    false
}

#[cfg(unix)]
mod system {
    use super::{Instant, Requests, Signal, io, thread};
    use libc::{
        SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGXCPU,
        SIGXFSZ,
    };
    use signal_hook::iterator::Signals;
    use std::ptr;

    /// Sent by keys.
    const KEYS: [i32; 2] = [SIGINT, SIGQUIT];
    /// Sent by terminals, service managers, batch systems (before they kill) and limits of time.
    const OTHERS: [i32; 6] = [SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM];

    pub fn prepare() {
        set(SIGXFSZ, libc::SIG_IGN);
        // SAFETY: the calls fill in and read a set on this stack.
        unsafe {
            let mut wanted: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut wanted);
            for signal in [&KEYS[..], &OTHERS].concat() {
                libc::sigaddset(&mut wanted, signal);
            }
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &wanted, ptr::null_mut());
        }
    }

    pub fn listen(
        thread: thread::Builder,
        mut handle: impl FnMut(Signal) + Send + 'static,
    ) -> io::Result<()> {
        let wanted = [&KEYS[..], &OTHERS, &[SIGTSTP, SIGCONT]].concat();
        let mut signals = Signals::new(wanted.into_iter().filter(|&signal| !is_ignored(signal)))?;
        thread.spawn(move || {
            let mut requests = Requests::default();
            for signal in signals.forever() {
                match signal {
                    SIGTSTP => {
                        handle(Signal::Suspended);
                        suspend();
                        handle(Signal::Continued);
                    }
                    SIGCONT => handle(Signal::Continued),
                    other => {
                        let request = requests.next(KEYS.contains(&other), Instant::now());
                        request.into_iter().map(Signal::Asked).for_each(&mut handle);
                    }
                }
            }
        })?;
        Ok(())
    }

    fn is_ignored(signal: i32) -> bool {
        // SAFETY: the call writes into the structure, which lives on this stack.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
        }
    }

    /// Does what the system does with SIGTSTP that nobody listens to: stops the process, unless no shell could continue it.
    fn suspend() {
        let Some(ours) = set(SIGTSTP, libc::SIG_DFL) else {
            return;
        };
        // SAFETY: both calls only take numbers and a structure that the system filled in.
        unsafe {
            libc::raise(SIGTSTP);
            libc::sigaction(SIGTSTP, &ours, ptr::null_mut());
        }
    }

    /// Sets what a signal does. Returns what it did before.
    fn set(signal: i32, action: libc::sighandler_t) -> Option<libc::sigaction> {
        // SAFETY: both structures live on this stack, and the action is one of the system's own.
        unsafe {
            let (mut new, mut old): (libc::sigaction, libc::sigaction) =
                (std::mem::zeroed(), std::mem::zeroed());
            new.sa_sigaction = action;
            (libc::sigaction(signal, &new, &mut old) == 0).then_some(old)
        }
    }
}

#[cfg(not(unix))]
mod system {
    use super::{Instant, Requests, Signal, io, thread};
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// Time between two looks.
    const LOOK: Duration = Duration::from_millis(50);

    pub fn listen(
        thread: thread::Builder,
        mut handle: impl FnMut(Signal) + Send + 'static,
    ) -> io::Result<()> {
        let [key, other] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        signal_hook::flag::register(SIGINT, key.clone())?;
        signal_hook::flag::register(SIGTERM, other.clone())?;
        thread.spawn(move || {
            let mut requests = Requests::default();
            loop {
                for (came, is_key) in [(&key, true), (&other, false)] {
                    if came.swap(false, Ordering::Relaxed) {
                        let request = requests.next(is_key, Instant::now());
                        request.into_iter().map(Signal::Asked).for_each(&mut handle);
                    }
                }
                thread::sleep(LOOK);
            }
        })?;
        Ok(())
    }
}
