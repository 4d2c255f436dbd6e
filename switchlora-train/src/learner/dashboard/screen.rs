//! The terminal while the dashboard is shown.
//!
//! The dashboard puts the terminal in raw mode, in which Ctrl-C is a key like others. Here raw mode is entered first, with
//! Ctrl-C, Ctrl-\ and Ctrl-Z as signals; the dashboard then leaves the mode alone. What libraries print on standard error
//! meanwhile would spoil the picture, and end the process if the terminal is gone: it goes to a file.

#[cfg(unix)]
use super::unix as system;
use crate::say;
use crate::signals;
use crossterm::terminal::{disable_raw_mode, enable_raw_mode, is_raw_mode_enabled, size};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use system::Kept;

/// How long lines printed before may take.
const PATIENCE: Duration = Duration::from_secs(2);

static SHOWN: AtomicBool = AtomicBool::new(false);
/// The process is or was stopped (Ctrl-Z), and has not got the terminal back.
static AWAY: AtomicBool = AtomicBool::new(false);
/// How often the process was stopped by Ctrl-Z: a thread that waits to take the terminal over again is too late after the
/// next time.
static STOPS: AtomicUsize = AtomicUsize::new(0);
/// The terminal is taken over or given back by one thread at a time. burn-train, which gives it back when it ends, does not
/// ask: see [`resume`].
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the dashboard is on the screen.
pub(crate) fn is_shown() -> bool {
    SHOWN.load(Ordering::SeqCst)
}

/// Whether burn-train still uses the terminal: it restores the mode when it ends.
pub(super) fn is_in_use() -> bool {
    AWAY.load(Ordering::SeqCst) || (is_raw() && !signals::terminal_is_gone())
}

fn is_raw() -> bool {
    is_raw_mode_enabled().unwrap_or(false)
}

/// Whether standard output is a terminal that can show the dashboard.
pub(crate) fn is_possible() -> bool {
    let understands = match std::env::var_os("TERM") {
        Some(name) => name != "dumb" && !name.is_empty(),
        None => cfg!(windows),
    };
    let has_size = || size().is_ok_and(|(columns, rows)| columns > 0 && rows > 0);
    let can_be_raw = || enable_raw_mode().and_then(|()| disable_raw_mode()).is_ok();
    io::stdout().is_terminal()
        && understands
        && system::is_in_foreground()
        && has_size()
        && can_be_raw()
}

/// The terminal, taken over until drop.
pub(super) struct Screen {
    kept: Kept,
}

impl Screen {
    /// Takes the terminal over. Standard error is the file `log` from now on.
    pub fn enter(log: &Path) -> io::Result<Self> {
        say::flush(Some(PATIENCE));
        let log = File::options().append(true).create(true).open(log)?;
        let kept = Kept::keep(&log);
        if let Err(refused) = enable_raw_mode() {
            kept.restore();
            return Err(refused);
        }
        system::turn_signals_on();
        SHOWN.store(true, Ordering::SeqCst);
        Ok(Self { kept })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _turn = turn();
        if is_raw() {
            give_back();
        }
        SHOWN.store(false, Ordering::SeqCst);
        if AWAY.swap(false, Ordering::SeqCst) {
            system::show_output();
        }
        if !signals::terminal_is_gone() {
            self.kept.restore();
            // burn-train may leave raw mode while signals are turned on in it.
            self.kept.restore_mode();
        }
    }
}

/// Gives the terminal back without burn-train, which may be waiting for it.
pub(crate) fn leave() {
    let _turn = turn();
    if SHOWN.swap(false, Ordering::SeqCst) {
        give_back();
    }
}

/// Gives the terminal back while the process is stopped.
pub(crate) fn suspend() {
    let _turn = turn();
    STOPS.fetch_add(1, Ordering::SeqCst);
    if is_shown() && !AWAY.swap(true, Ordering::SeqCst) {
        system::hide_output();
        give_back();
    }
}

fn give_back() {
    let _ = disable_raw_mode();
    system::write_directly(b"\x1b[?1049l\x1b[?25h");
}

/// Takes the terminal over again after the process was stopped, once it is in the foreground.
///
/// The run may end meanwhile: burn-train then leaves raw mode, and its screen after that. Raw mode is entered last, so
/// that either burn-train finds all of it to leave, or raw mode stays and says that [`Screen`] has to give it back.
pub(crate) fn resume() {
    if !is_shown() {
        return;
    }
    let stops = STOPS.load(Ordering::SeqCst);
    std::thread::spawn(move || {
        system::wait_for_foreground();
        let _turn = turn();
        // The run may have ended in the background, or the process is about to be stopped again.
        if !is_shown() || STOPS.load(Ordering::SeqCst) != stops {
            return;
        }
        AWAY.store(true, Ordering::SeqCst);
        system::write_directly(b"\x1b[?1049h\x1b[2J");
        system::show_output();
        // A shell changes the mode while the process is stopped: raw mode is entered anew.
        let _ = disable_raw_mode();
        let _ = enable_raw_mode();
        system::turn_signals_on();
        AWAY.store(false, Ordering::SeqCst);
        system::redraw();
    });
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::io::{self, Write};

    pub struct Kept;

    impl Kept {
        pub fn keep(_log: &File) -> Self {
            Self
        }

        pub fn restore(&self) {}

        pub fn restore_mode(&self) {}
    }

    pub fn turn_signals_on() {}

    pub fn is_in_foreground() -> bool {
        true
    }

    pub fn wait_for_foreground() {}

    pub fn write_directly(bytes: &[u8]) {
        let _ = io::stdout().write_all(bytes);
    }

    pub fn hide_output() {}

    pub fn show_output() {}

    pub fn redraw() {}
}
