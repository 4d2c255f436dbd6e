//! Shows the progress of packing.

use crate::data::pack::{Cached, Malformed, Seen, cached};
use crate::data::{DataError, Tokenizer};
use crate::say::{is_silent, say, warn};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two lines if standard error is not a terminal.
const EVERY: Duration = Duration::from_secs(30);
/// Time between two updates of the line on a terminal.
const OFTEN: Duration = Duration::from_millis(200);

/// Shows share, throughput and time left: on one line of a terminal, else on a new line from time to time.
pub(super) struct Watch {
    began: Instant,
    shown: Instant,
    terminal: bool,
    on_line: bool,
    resumed: bool,
    /// Bytes read when the progress was first reported, from which the time left is estimated.
    first: Option<u64>,
}

impl Watch {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            shown: now,
            terminal: io::stderr().is_terminal(),
            on_line: false,
            resumed: false,
            first: None,
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Shows the progress, unless it was shown a moment ago.
    pub fn see(&mut self, seen: &Seen) {
        if is_silent() {
            return;
        }
        if seen.waiting {
            say("  cache       another process is packing this text: waiting for it");
            return;
        }
        if seen.resumed > 0 && !self.resumed {
            self.resumed = true;
            let done = seen.resumed;
            say(format!("resuming after {done} documents"));
        }
        let first = *self.first.get_or_insert(seen.read);
        let every = if self.terminal { OFTEN } else { EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let seconds = self.seconds();
        let share = 100.0 * seen.read as f64 / seen.of.max(1) as f64;
        let rate = seen.encoded as f64 / 1e6 / seconds;
        let done = (seen.read - first).max(1) as f64;
        let left = (seen.of - seen.read) as f64 / done * seconds;
        let line = format!("{share:5.1} %  {rate:.1} MB/s of text  {left:.0} s left");
        let mut err = io::stderr();
        let _ = match self.terminal {
            true => write!(err, "\r{line}   ").and_then(|()| err.flush()),
            false => writeln!(err, "{line}"),
        };
        self.on_line = self.terminal;
    }

    /// Ends the line on a terminal, and returns `result`.
    pub fn end<T>(&mut self, result: T) -> T {
        if std::mem::take(&mut self.on_line) {
            let _ = writeln!(io::stderr());
        }
        result
    }
}

/// Packs the documents at `paths` into the cache and returns the path of the packed file, or returns `paths` if they
/// can be read without packing.
///
/// # Errors
///
/// The errors of [`cached`].
pub(super) fn packed_once(
    paths: &[PathBuf],
    field: &str,
    tokenizer: &Tokenizer,
) -> Result<Vec<PathBuf>, DataError> {
    let mut watch = Watch::new();
    let cached = cached(paths, field, tokenizer, |seen| watch.see(&seen));
    let Some(Cached { path, made }) = watch.end(cached)? else {
        return Ok(paths.to_vec());
    };
    let done = match &made {
        Some(made) => {
            passed_over(&made.malformed);
            let (documents, seconds) = (made.documents[0], watch.seconds());
            format!("{documents} documents packed in {seconds:.1} s")
        }
        None => "packed before".to_owned(),
    };
    say(format!("  cache       {} ({done})", path.display()));
    Ok(vec![path])
}

/// Warns about skipped lines, rows and files, with the first of them.
pub(super) fn passed_over(malformed: &Malformed) {
    if let [first, others @ ..] = &malformed.companions[..] {
        let more = match others.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let first = first.display();
        warn(format!(
            "left out {first}{more}: no data, but about the data beside it"
        ));
    }
    if malformed.count == 0 {
        return;
    }
    let (count, first) = (malformed.count, malformed.first.join("; "));
    let shown = match first.is_empty() {
        true => String::new(),
        false => format!(", first {first}"),
    };
    warn(format!("skipped {count} lines or rows without text{shown}"));
}
