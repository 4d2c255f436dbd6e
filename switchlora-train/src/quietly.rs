//! Panics of libraries: they are turned into errors where they are expected (GPU runtimes panic without a driver, file
//! readers on damaged files), and reported everywhere else.

use crate::say::tell;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Reports panics in the log and on standard error from now on. The hook of the standard library does the latter too, but
/// hooks of libraries print in a way that panics if the terminal is gone, and a panic in a hook ends the process at once.
pub(crate) fn report_panics() {
    panic::set_hook(Box::new(|panicked| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed");
        log::error!("thread `{name}` {panicked}");
        tell(format_args!("thread `{name}` {panicked}"));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            tell(trace);
        }
    }));
}

/// Runs `attempt` and prints nothing if it panics. Until it returns, panics of other threads print nothing either.
///
/// # Errors
///
/// The first line of the panic's message.
pub(crate) fn quietly<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    /// Serializes the calls: a concurrent call would save and restore the empty hook.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(attempt));
    panic::set_hook(hook);
    result.map_err(|message| panic_message(&*message))
}

/// The first line of a panic's message.
pub(crate) fn panic_message(message: &(dyn Any + Send)) -> String {
    let text = message
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| message.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("the runtime gave no reason");
    let line = text.lines().next().unwrap_or(text);
    line.trim_end_matches('.').to_owned()
}
