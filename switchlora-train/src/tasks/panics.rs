//! Turns panics of the `parquet` crate into errors: it panics on some damaged files.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`.
///
/// # Errors
///
/// The message of its error or of its panic.
pub(super) fn caught<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(match panic.downcast_ref::<String>() {
            Some(message) => message.clone(),
            None => panic
                .downcast_ref::<&str>()
                .unwrap_or(&"no reason given")
                .to_string(),
        }),
    }
}
