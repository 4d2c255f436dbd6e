//! Waiting in tests.

use std::time::{Duration, Instant};

/// Waits until `what` holds, which must be soon.
pub fn wait_until(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(5));
    }
}
