//! Turns panics of the `parquet` crate into errors: it panics on some damaged files.

use super::brief::brief;
use crate::quietly::panic_message;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught and told by its caller.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, and prints nothing if it panics. Panics of other threads are printed as ever.
///
/// # Errors
///
/// The error of `work`, or the message of its panic, as one short line.
pub(super) fn caught<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                hook(info);
            }
        }));
    });
    CAUGHT.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(false);
    match result {
        Ok(result) => result.map_err(|error| {
            let message = error.to_string();
            brief(message.strip_prefix("Parquet error: ").unwrap_or(&message))
        }),
        Err(message) => Err(brief(&format!(
            "not readable ({})",
            panic_message(&*message)
        ))),
    }
}
