//! burn-train's terminal dashboard, in which Ctrl-C still works.
//!
//! The dashboard puts the terminal in raw mode, in which Ctrl-C sends a key instead of a signal. This module turns
//! signals on again and leaves the rest of raw mode as it is.

use burn::train::Interrupter;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{LeaveAlternateScreen, disable_raw_mode};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Time between two checks of the terminal's mode.
const LOOK: Duration = Duration::from_millis(100);

/// Takes over the terminal. The dashboard's quit key stops the run through `interrupter`.
pub(super) fn renderer(interrupter: &Interrupter) -> TuiMetricsRendererWrapper {
    // burn-train 0.21 draws from a thread that never sleeps and would take one core from the training. A thread
    // inherits the priority of its parent.
    let new = |interrupter| TuiMetricsRendererWrapper::new(interrupter, None);
    let made = std::thread::spawn({
        let interrupter = interrupter.clone();
        move || {
            lower_priority();
            new(interrupter)
        }
    });
    made.join().unwrap_or_else(|_| new(interrupter.clone()))
}

/// Keeps signals turned on while the returned value lives.
pub(super) fn allow_signals() -> Arc<()> {
    let shown = Arc::new(());
    // A thread of burn-train changes the mode some time later, and an update may take long.
    let watched = Arc::downgrade(&shown);
    std::thread::spawn(move || {
        while watched.strong_count() > 0 {
            turn_signals_on();
            std::thread::sleep(LOOK);
        }
    });
    shown
}

/// Restores the terminal at once, for a process that ends without ending its training.
pub(crate) fn leave_dashboard() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}

/// Gives the calling thread the lowest priority.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers only. On Linux, 0 is the calling thread, not its process.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

/// Makes the terminal turn Ctrl-C into SIGINT, in any mode.
fn turn_signals_on() {
    #[cfg(unix)]
    // SAFETY: both calls only read and write the structure they are given, which lives on this stack.
    unsafe {
        let mut mode: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(libc::STDIN_FILENO, &mut mode) == 0 && mode.c_lflag & libc::ISIG == 0 {
            mode.c_lflag |= libc::ISIG;
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &mode);
        }
    }
}
