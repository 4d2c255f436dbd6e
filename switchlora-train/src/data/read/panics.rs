//! Turns panics of the `parquet` crate into errors: it panics on some damaged files.

use super::brief::brief;
use crate::quietly;

/// Runs `work`, and prints nothing if it panics. Panics of other threads are printed as ever.
///
/// # Errors
///
/// The error of `work`, or the message of its panic, as one short line.
pub(super) fn caught<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match quietly::caught(work) {
        Ok(result) => result.map_err(|error| {
            let message = error.to_string();
            brief(message.strip_prefix("Parquet error: ").unwrap_or(&message))
        }),
        Err(message) => Err(brief(&format!("not readable ({message})"))),
    }
}
