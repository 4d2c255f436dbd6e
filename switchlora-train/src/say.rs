//! Lines for the person who watches a run, whom the run outlives: a closed pipe or a terminal that is gone ends nothing.
//!
//! `println!` panics when nobody reads any more. A training must not.

use std::fmt::Display;
use std::io::{self, Write};

/// A line on standard output.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line on standard error, marked as a warning.
pub fn warn(line: impl Display) {
    let _ = writeln!(io::stderr(), "warning: {line}");
}
