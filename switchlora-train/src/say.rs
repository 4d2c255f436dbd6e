//! Prints lines for the user and ignores a closed pipe or terminal, on which `println!` panics: a training must go on.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line on standard output.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line on standard error, marked as a warning.
pub fn warn(line: impl Display) {
    let _ = writeln!(io::stderr(), "warning: {line}");
}
