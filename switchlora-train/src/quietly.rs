//! What libraries say by a panic: GPU runtimes that there is no driver, readers of files that a file is damaged.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

/// The result of `attempt`, or the message it panicked with, and nothing on the terminal in either case.
///
/// While it runs, no other thread's panic is on the terminal either.
pub(crate) fn quietly<T>(attempt: impl FnOnce() -> T) -> Result<T, String> {
    /// One at a time, or the second would take the silence of the first for what was there before.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(attempt));
    panic::set_hook(hook);
    result.map_err(|message| panic_message(&*message))
}

/// The first line of what a panic said.
pub(crate) fn panic_message(message: &(dyn Any + Send)) -> String {
    let text = message
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| message.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("the runtime gave no reason");
    let line = text.lines().next().unwrap_or(text);
    line.trim_end_matches('.').to_owned()
}
