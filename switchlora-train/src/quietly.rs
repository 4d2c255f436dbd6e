//! Panics of libraries: they are turned into errors where they are expected (GPU runtimes panic without a driver, file
//! readers on damaged files), and reported everywhere else.

use crate::say::tell;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

thread_local! {
    /// Whether a panic of this thread is caught and told by its caller.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls of [`quietly`] under way.
static QUIET: AtomicUsize = AtomicUsize::new(0);

/// Reports panics in the log and on standard error from now on. The hook of the standard library does the latter too, but
/// hooks of libraries print in a way that panics if the terminal is gone, and a panic in a hook ends the process at once.
pub(crate) fn report_panics() {
    report_with(|panicked| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed");
        log::error!("thread `{name}` {panicked}");
        tell(format_args!("thread `{name}` {panicked}"));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            tell(trace);
        }
    });
}

/// Reports with `hook` every panic that nobody expects.
fn report_with(hook: impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |panicked| {
        if !CAUGHT.get() && QUIET.load(Ordering::SeqCst) == 0 {
            hook(panicked);
        }
    }));
}

/// Runs `attempt` and prints nothing if it panics. Panics of other threads are reported as ever.
///
/// # Errors
///
/// The first line of the panic's message.
pub(crate) fn caught<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| report_with(panic::take_hook()));
    let before = CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(attempt));
    CAUGHT.set(before);
    result.map_err(|message| panic_message(&*message))
}

/// As [`caught`], for work with threads of its own: until it returns, panics of other threads print nothing either.
///
/// # Errors
///
/// The first line of the panic's message.
pub(crate) fn quietly<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    QUIET.fetch_add(1, Ordering::SeqCst);
    let result = caught(attempt);
    QUIET.fetch_sub(1, Ordering::SeqCst);
    result
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
