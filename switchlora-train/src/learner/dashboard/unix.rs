//! What [`screen`](super::screen) asks of a terminal: its mode, its foreground, and where its descriptors lead.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

/// Time between two looks whether the process has the terminal.
const LOOK: Duration = Duration::from_millis(100);
/// Longer than between two pictures.
const PICTURE: Duration = Duration::from_millis(300);

/// The terminal on standard output, while the dashboard is shown.
static TERMINAL: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// What the terminal and standard error were before.
pub struct Kept {
    error: Option<OwnedFd>,
    mode: Option<libc::termios>,
}

impl Kept {
    pub fn keep(log: &File) -> Self {
        let mut terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
        *terminal = io::stdout().as_fd().try_clone_to_owned().ok();
        let before = io::stderr().as_fd().try_clone_to_owned().ok();
        if before.is_some() {
            point(libc::STDERR_FILENO, log.as_raw_fd());
        }
        Self {
            error: before,
            mode: with_keys(mode_of).flatten(),
        }
    }

    pub fn restore(&self) {
        if let Some(before) = &self.error {
            point(libc::STDERR_FILENO, before.as_raw_fd());
        }
    }

    /// Gives the terminal its mode back if it reads keys one by one.
    pub fn restore_mode(&self) {
        let Some(before) = self.mode else { return };
        if before.c_lflag & libc::ICANON == 0 || !is_in_foreground() {
            return;
        }
        with_keys(|keys| {
            let is_raw = |now: libc::termios| now.c_lflag & libc::ICANON == 0;
            if mode_of(keys).is_some_and(is_raw) {
                // SAFETY: the call only reads the structure it is given.
                unsafe { libc::tcsetattr(keys, libc::TCSANOW, &before) };
            }
        });
    }
}

/// The mode of a terminal.
fn mode_of(keys: RawFd) -> Option<libc::termios> {
    // SAFETY: the call writes into the structure, which lives on this stack.
    unsafe {
        let mut mode: libc::termios = std::mem::zeroed();
        (libc::tcgetattr(keys, &mut mode) == 0).then_some(mode)
    }
}

fn point(descriptor: RawFd, to: RawFd) {
    // SAFETY: the call takes numbers only, and the standard descriptors are always open.
    unsafe { libc::dup2(to, descriptor) };
}

/// Calls `act` with the terminal that keys are read from, as crossterm chooses it.
fn with_keys<T>(act: impl FnOnce(RawFd) -> T) -> Option<T> {
    if io::stdin().is_terminal() {
        return Some(act(libc::STDIN_FILENO));
    }
    let mut options = File::options();
    let terminal = options.read(true).write(true).open("/dev/tty").ok()?;
    Some(act(terminal.as_raw_fd()))
}

/// Makes the terminal turn Ctrl-C, Ctrl-\ and Ctrl-Z into signals, in any mode.
pub fn turn_signals_on() {
    with_keys(|keys| {
        if let Some(mut mode) = mode_of(keys) {
            mode.c_lflag |= libc::ISIG;
            // SAFETY: the call only reads the structure it is given.
            unsafe { libc::tcsetattr(keys, libc::TCSANOW, &mode) };
        }
    });
}

/// Whether the process may change the terminal. One in the background is stopped if it tries.
pub fn is_in_foreground() -> bool {
    // SAFETY: both calls take and return numbers.
    let group = with_keys(|keys| unsafe { (libc::tcgetpgrp(keys), libc::getpgrp()) });
    // A terminal that does not control the process has no foreground.
    group.is_none_or(|(foreground, own)| foreground == own || foreground <= 0)
}

pub fn wait_for_foreground() {
    while !is_in_foreground() {
        sleep(LOOK);
    }
}

/// Writes to the terminal without waiting for it.
pub fn write_directly(bytes: &[u8]) {
    let terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(terminal) = &*terminal else { return };
    let mut options = File::options();
    let options = options.write(true);
    let options = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let again = options.open(format!("/dev/fd/{}", terminal.as_raw_fd()));
    let _ = again.and_then(|mut terminal| terminal.write_all(bytes));
}

/// Draws nothing from now on.
pub fn hide_output() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        point(libc::STDOUT_FILENO, null.as_raw_fd());
    }
}

pub fn show_output() {
    let terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(terminal) = &*terminal {
        point(libc::STDOUT_FILENO, terminal.as_raw_fd());
    }
}

/// Makes the dashboard draw everything: it draws what has changed since its last picture, and everything when the size
/// has. So the size is another one for a moment.
pub fn redraw() {
    let terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(terminal) = &*terminal else { return };
    let terminal = terminal.as_raw_fd();
    // SAFETY: the calls read and write the structures they are given, which live on this stack.
    unsafe {
        let mut real: libc::winsize = std::mem::zeroed();
        if libc::ioctl(terminal, libc::TIOCGWINSZ, &mut real) != 0 || real.ws_row < 2 {
            return;
        }
        let mut other = real;
        other.ws_row -= 1;
        libc::ioctl(terminal, libc::TIOCSWINSZ, &other);
        sleep(PICTURE);
        let mut now: libc::winsize = std::mem::zeroed();
        let read = libc::ioctl(terminal, libc::TIOCGWINSZ, &mut now) == 0;
        // Unless someone has changed it meanwhile.
        if read && (now.ws_row, now.ws_col) == (other.ws_row, other.ws_col) {
            libc::ioctl(terminal, libc::TIOCSWINSZ, &real);
        }
    }
}
