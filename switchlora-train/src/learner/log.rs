//! `experiment.log`: what libraries log, and panics.

use crate::advice::advice;
use crate::regular_file;
use crate::say::warn;
use burn::train::{ApplicationLoggerInstaller, FileApplicationLoggerInstaller};
use std::panic;
use std::path::Path;

/// Name of the file.
pub(super) const LOG: &str = "experiment.log";

/// Logs to the file at `path` from now on. A run whose log cannot be written goes on without one.
pub(super) fn log_to(path: &Path) {
    // The logger panics instead.
    if let Err(reason) = regular_file::append(path) {
        return warn(format!(
            "{}: cannot be written ({reason}): the run goes on without it; {}",
            path.display(),
            advice(&reason)
        ));
    }
    // burn-train's logger also installs a panic hook, which prints with `eprintln!`: if the terminal is gone it panics, and
    // a panic in the hook ends the process at once.
    let hook = panic::take_hook();
    let installed = FileApplicationLoggerInstaller::new(path).install();
    let _ = panic::take_hook();
    panic::set_hook(hook);
    if let Err(reason) = installed {
        log::warn!("{reason}");
    }
}
