//! Turns panics of libraries into errors: GPU runtimes panic without a driver, file readers on damaged files.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

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
