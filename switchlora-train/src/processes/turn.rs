//! Who speaks first when processes that cannot reach each other fail alike.
//!
//! The first one that is there speaks, and when it ends the launcher ends the others: those wait, or a launcher that hears
//! of their end before it has passed on the message ends the one that would speak. One that has failed alone speaks too,
//! later.

use std::thread;
use std::time::Duration;

/// How long a process may need to come as far as another one.
const BEHIND: Duration = Duration::from_secs(10);

/// How much later than the first one process `rank` speaks.
pub fn turn(rank: usize) -> Duration {
    Duration::from_secs(2) * rank.min(10) as u32
}

/// Waits, in process `rank`, until those before it have had the time to fail in the same way and to end all.
pub fn wait_for_turn(rank: usize) {
    thread::sleep(BEHIND + turn(rank));
}
