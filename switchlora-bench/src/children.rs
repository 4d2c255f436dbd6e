//! Processes that this one starts: they end when this one is asked to stop, and when it ends without being asked.
//!
//! A child's standard input is a pipe of which this process holds the other end and never writes to. However this process
//! ends, the system closes the pipe, and a child that [ends with its input](end_with_input) ends.

use anyhow::{Context, Result};
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Output, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use switchlora_train::say;
use switchlora_train::signals::{self, INTERRUPTED, Signal};

/// How long a child may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The child that is running: a bench measures one thing at a time.
struct Running {
    id: u32,
    /// Dropped to end the child.
    input: Option<ChildStdin>,
}

/// What is running.
struct State {
    running: Option<Running>,
    /// This process was asked to stop.
    ending: bool,
    /// What it then says.
    last_words: Option<String>,
    /// A folder that it then removes.
    scratch: Option<PathBuf>,
}

static STATE: Mutex<State> = Mutex::new(State {
    running: None,
    ending: false,
    last_words: None,
    scratch: None,
});
/// Wakes who waits for the child to have ended.
static ENDED: Condvar = Condvar::new();

/// Listens for signals from now on: the first ends the child, waits for it, and ends this process. Results are saved as
/// they are measured, so nothing else is to be saved.
///
/// # Errors
///
/// The system refuses.
pub fn end_with_this_process() -> Result<()> {
    let asked = |signal| {
        if let Signal::Asked(_) = signal {
            if let Some(words) = end_child() {
                say::tell(words);
            }
            signals::exit_now(INTERRUPTED)
        }
    };
    signals::listen(asked).context("cannot listen for signals")
}

/// Sets the line that this process says when it is asked to stop, before it ends.
pub fn say_when_ended(words: String) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.last_words = Some(words);
}

/// Sets the folder that this process removes when it is asked to stop, before it ends: no destructor runs then.
pub fn remove_when_ended(scratch: PathBuf) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.scratch = Some(scratch);
}

/// Runs a command to its end. Returns what it printed.
///
/// # Errors
///
/// The command cannot be started.
pub fn output(command: Command) -> io::Result<Output> {
    output_within(command, None)
}

/// As [`output`], but ends the command when its time is up: its status is then that of a killed process.
///
/// # Errors
///
/// The command cannot be started.
pub fn output_within(mut command: Command, limit: Option<Duration>) -> io::Result<Output> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut state = unless_ending();
    let mut child = command.spawn()?;
    state.running = Some(Running {
        id: child.id(),
        input: child.stdin.take(),
    });
    drop(state);
    let id = child.id();
    let output = thread::scope(|scope| {
        if let Some(limit) = limit {
            scope.spawn(move || end_after(id, limit));
        }
        let output = child.wait_with_output();
        // Wakes the thread that waits for the end of the time.
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = None;
        ENDED.notify_all();
        output
    });
    // If it was ended, this process ends as well and has nothing to say about it.
    drop(unless_ending());
    output
}

/// The line in which a command that failed says why: its error, else the message of a panic, else the last line.
pub fn reason(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find(|line| line.starts_with("error: "));
    // A panic says where in its first line, and why in the second.
    let panic = lines()
        .skip_while(|line| !line.contains("panicked at"))
        .nth(1);
    let line = error.or(panic).or_else(|| lines().next_back())?;
    Some(line.trim_start_matches("error: ").to_owned())
}

/// The state; never returns if this process is about to end.
fn unless_ending() -> MutexGuard<'static, State> {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if state.ending {
        drop(state);
        loop {
            thread::park();
        }
    }
    state
}

/// Kills the child `id` if it still runs after `limit`. It may hang in a driver, where it reads no input.
fn end_after(id: u32, limit: Duration) {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let runs = |state: &mut State| state.running.as_ref().is_some_and(|child| child.id == id);
    let waited = ENDED.wait_timeout_while(state, limit, runs);
    let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    // With the state locked, so that the child has not been waited for and the number is its own.
    if let Some(child) = state.running.as_mut().filter(|child| child.id == id) {
        kill(child);
    }
}

/// Ends the child, and waits until it has ended. Returns the last words of this process.
fn end_child() -> Option<String> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.ending = true;
    if let Some(child) = &mut state.running {
        child.input = None;
    }
    let waited = ENDED.wait_timeout_while(state, PATIENCE, |state| state.running.is_some());
    let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    if let Some(child) = &mut state.running {
        kill(child);
    }
    if let Some(scratch) = state.scratch.take() {
        // Another thread may write into it: what is made meanwhile stays.
        let _ = fs::remove_dir_all(scratch);
    }
    state.last_words.take()
}

/// Kills a child that has not been waited for, so that the number is its own.
#[cfg(unix)]
fn kill(child: &mut Running) {
    // SAFETY: the call takes numbers only.
    unsafe { libc::kill(child.id as libc::pid_t, libc::SIGKILL) };
}

/// Where there is no signal that kills a child, it ends with its input.
#[cfg(not(unix))]
fn kill(child: &mut Running) {
    child.input = None;
}

/// Ends this process, from now on, when its standard input ends.
///
/// # Errors
///
/// The system refuses.
pub fn end_with_input() -> Result<()> {
    let thread = thread::Builder::new().name("parent".to_owned());
    let waiting = thread.spawn(|| {
        let mut byte = [0];
        // Nothing is ever written.
        while io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {}
        signals::exit_now(INTERRUPTED)
    });
    waiting.context("cannot start a thread").map(drop)
}
