//! Holds the part of a file that is being parsed, and knows its line.

use super::not_finite::without_not_finite;
use std::io::{self, BufRead, Read};

/// Bytes per read.
const CHUNK: usize = 256 << 10;

/// The unread part of a file, as far as it is in memory.
pub(super) struct Held {
    reader: Box<dyn BufRead>,
    bytes: Vec<u8>,
    /// Bytes of `bytes` that were passed.
    at: usize,
    /// Bytes of the file that were passed.
    pub passed: u64,
    /// Line of the next byte, counted from 1. A line ends with a line feed, a carriage return, or both.
    pub line: u64,
    /// Whether the last byte passed is a carriage return.
    returned: bool,
    /// Whether the end of the file is in memory.
    pub ended: bool,
    /// Bytes of `bytes` in which no number that is not finite is left.
    finite: usize,
}

impl Held {
    pub fn new(reader: Box<dyn BufRead>) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            at: 0,
            passed: 0,
            line: 1,
            returned: false,
            ended: false,
            finite: 0,
        }
    }

    /// The unread bytes in memory.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Reads more: as much again as is unread, and at least 256 KiB, so that parsing the bytes again from their start
    /// takes time in proportion to their number.
    ///
    /// # Errors
    ///
    /// The error of the reader.
    pub fn more(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.at);
        self.finite = self.finite.saturating_sub(self.at);
        self.at = 0;
        let count = self.bytes.len().max(CHUNK) as u64;
        let read = self
            .reader
            .by_ref()
            .take(count)
            .read_to_end(&mut self.bytes)?;
        self.ended |= read == 0;
        Ok(())
    }

    /// Passes `count` unread bytes.
    pub fn pass(&mut self, count: usize) {
        let passed = &self.bytes[self.at..self.at + count];
        self.line += lines(passed, self.returned);
        self.returned = passed.last().map_or(self.returned, |&byte| byte == b'\r');
        self.at += count;
        self.passed += count as u64;
    }

    /// Passes the rest of the line, however long, without holding it.
    ///
    /// # Errors
    ///
    /// The error of the reader.
    pub fn pass_line(&mut self) -> io::Result<()> {
        loop {
            let rest = self.rest();
            if let Some(end) = line_end(rest, self.ended) {
                self.pass(end);
                return Ok(());
            }
            // A carriage return at the end waits for its line feed.
            let keep = usize::from(rest.last() == Some(&b'\r') && !self.ended);
            self.pass(self.rest().len() - keep);
            if self.ended {
                return Ok(());
            }
            self.more()?;
        }
    }

    /// Writes ordinary numbers over `NaN`, `Infinity` and `-Infinity` in the unread bytes, outside strings: Python's
    /// `json` reads them, `serde_json` does not, and only the text field of an object is wanted. Returns whether there
    /// was one.
    pub fn make_finite(&mut self) -> bool {
        if self.finite >= self.bytes.len() {
            return false;
        }
        self.finite = self.bytes.len();
        without_not_finite(&mut self.bytes[self.at..])
    }
}

/// Number of line ends in `bytes`, which follow a carriage return or not.
fn lines(bytes: &[u8], returned: bool) -> u64 {
    let feeds = bytes.iter().filter(|&&byte| byte == b'\n').count();
    if !returned && !bytes.contains(&b'\r') {
        return feeds as u64;
    }
    let returns = bytes.iter().filter(|&&byte| byte == b'\r').count();
    let both = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    let split = usize::from(returned && bytes.first() == Some(&b'\n'));
    (feeds + returns - both - split) as u64
}

/// The position behind the first line end of `bytes`. `None` if there is none, or if its second half may be missing.
pub(super) fn line_end(bytes: &[u8], ended: bool) -> Option<usize> {
    let at = bytes
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r'))?;
    match (bytes[at], bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', None) if !ended => None,
        _ => Some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_are_counted_as_python_does_however_the_bytes_are_passed(
            bytes in prop::collection::vec(prop::sample::select(b"a\r\n".to_vec()), 0..30), steps in prop::collection::vec(1..6_usize, 30),
        ) {
            let mut held = Held::new(Box::new(io::Cursor::new(bytes.clone())));
            held.more().unwrap();
            held.more().unwrap();
            for step in steps {
                held.pass(step.min(held.rest().len()));
            }
            let text = String::from_utf8(bytes.clone()).unwrap();
            let expected = text.replace("\r\n", "\n").replace('\r', "\n").matches('\n').count();
            prop_assert_eq!(held.line, 1 + expected as u64);

            let mut held = Held::new(Box::new(io::Cursor::new(bytes)));
            while !(held.rest().is_empty() && held.ended) {
                let before = held.line;
                held.pass_line().unwrap();
                prop_assert!(held.line == before + 1 || held.rest().is_empty() && held.ended);
            }
        }
    }
}
