//! Signals: the first asks the run to stop, the second ends the process.

use crate::commands::exit::INTERRUPTED;
use crate::learner::{Display, leave_dashboard};
use anyhow::Result;
use burn::train::Interrupter;
use std::io::{self, Write};

/// An interrupter that the first Ctrl-C, SIGTERM or SIGHUP stops: the run finishes its update and saves.
pub(super) fn interrupter(display: Display) -> Result<Interrupter> {
    let interrupter = Interrupter::new();
    let handle = interrupter.clone();
    ctrlc::set_handler(move || {
        if handle.should_stop() {
            if display == Display::Dashboard {
                leave_dashboard();
            }
            end_now();
        }
        handle.stop(Some("asked to stop"));
        if display == Display::Plain {
            let line = "stopping after this update; once more to stop at once";
            let _ = writeln!(io::stderr(), "{line}");
        }
    })?;
    Ok(interrupter)
}

/// Ends the process without waiting for other threads.
fn end_now() -> ! {
    #[cfg(unix)]
    // SAFETY: the call takes a number and does not return. No exit handlers: they may wait for the threads.
    unsafe {
        libc::_exit(i32::from(INTERRUPTED))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(INTERRUPTED))
}
