//! All printing of the programs.
//!
//! [`say`], [`warn`] and [`error`] are for the user who watches: a pipe or terminal that nobody reads any more is no
//! reason to end (`println!` panics on it). [`answer`] is for the output that a command is started for: if it cannot be
//! written the command fails, and if the reader has seen enough (`plan | head`) the command ends quietly.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct Unwritten(#[from] pub io::Error);

enum Line {
    Out(String),
    Err(String),
    Flush(Sender<()>),
}

/// Whether nothing is printed.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Prints nothing from now on, or again: of several processes that do the same, one speaks.
pub fn be_silent(silent: bool) {
    SILENT.store(silent, Ordering::Relaxed);
}

/// Whether nothing is printed.
pub fn is_silent() -> bool {
    SILENT.load(Ordering::Relaxed)
}

/// The thread that prints, if there is one.
static PRINTER: OnceLock<Sender<Line>> = OnceLock::new();

/// Prints a line on standard output.
pub fn say(line: impl Display) {
    print(Line::Out(format!("{line}\n")));
}

/// Prints a line on standard error.
pub fn tell(line: impl Display) {
    print(Line::Err(format!("{line}\n")));
}

/// Prints a line on standard error, marked as a warning.
pub fn warn(line: impl Display) {
    tell(format_args!("warning: {}", one_line(line)));
}

/// Prints a line on standard error, marked as the error that ends the program.
pub fn error(line: impl Display) {
    tell(format_args!("error: {}", one_line(line)));
}

/// The text with control characters escaped: the name of a file may hold a line's end or a command for the terminal.
fn one_line(text: impl Display) -> String {
    let text = text.to_string();
    let escaped = text.chars().map(|character| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    });
    escaped.collect()
}

/// Prints text without a line's end on standard error.
pub fn tell_part(text: impl Display) {
    print(Line::Err(text.to_string()));
}

/// Writes a line of a command's result on standard output, if this process speaks.
///
/// # Errors
///
/// It cannot be written.
pub fn answer(line: impl Display) -> Result<(), Unwritten> {
    if is_silent() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Whether an error says that the reader of standard output has gone.
pub fn reader_has_gone(error: &anyhow::Error) -> bool {
    let closed = |Unwritten(reason): &Unwritten| reason.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(closed)
}

/// Prints from now on from a thread of its own: a terminal that is held (Ctrl-S) or a pager that waits must not hold the
/// work.
pub fn print_behind() {
    let (lines, received) = channel();
    let printing = thread::Builder::new().name("printer".to_owned());
    let printing = printing.spawn(move || received.into_iter().for_each(write));
    if printing.is_ok() {
        let _ = PRINTER.set(lines);
    }
}

/// Waits until everything is printed, or for the time given.
pub fn flush(patience: Option<Duration>) {
    let Some(printer) = PRINTER.get() else {
        return;
    };
    let (done, wait) = channel();
    let _ = printer.send(Line::Flush(done));
    let _ = match patience {
        Some(patience) => wait.recv_timeout(patience).is_ok(),
        None => wait.recv().is_ok(),
    };
}

fn print(line: Line) {
    if is_silent() {
        return;
    }
    match PRINTER.get() {
        Some(printer) => drop(printer.send(line)),
        None => write(line),
    }
}

fn write(line: Line) {
    let _ = match line {
        Line::Out(text) => put(io::stdout(), &text),
        Line::Err(text) => put(io::stderr(), &text),
        Line::Flush(done) => {
            let _ = done.send(());
            Ok(())
        }
    };
}

fn put(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_name_with_a_lines_end_or_a_command_for_the_terminal_stays_in_its_line() {
        let name = "a\nb\u{1b}[2J é: \u{9b}1m";
        assert_eq!(one_line(name), "a\\nb\\u{1b}[2J é: \\u{9b}1m");
    }
}
