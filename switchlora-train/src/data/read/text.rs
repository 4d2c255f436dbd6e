//! Reads a file that is one document, and cuts it into pieces as it reads.

use super::super::DataError;
use super::super::cuts::Cuts;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes per read.
const CHUNK: u64 = 256 << 10;

/// The pieces of one text.
pub(in crate::data) struct Text {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    cuts: Cuts,
    /// Text that has been read; from byte `given` on it has not been returned.
    held: String,
    given: usize,
    /// Bytes after `held` that are not a complete character yet.
    half: Vec<u8>,
    /// Offset in the text of the first byte of `half`.
    offset: usize,
    /// Line ends before that byte.
    lines: u64,
    ended: bool,
}

impl Text {
    pub fn new(reader: Box<dyn BufRead>, path: &Path, cuts: Cuts) -> Self {
        Self {
            reader,
            path: path.to_path_buf(),
            cuts,
            held: String::new(),
            given: 0,
            half: Vec::new(),
            offset: 0,
            lines: 0,
            ended: false,
        }
    }

    /// Reads the next piece, and whether it is the last. `None` at the end of the text.
    ///
    /// # Errors
    ///
    /// [`DataError::Unreadable`], [`DataError::Binary`] or [`DataError::NotUtf8`].
    pub fn next(&mut self) -> Result<Option<(String, bool)>, DataError> {
        loop {
            let rest = &self.held[self.given..];
            if !self.ended && rest.len() < self.cuts.enough() {
                self.fill()?;
                continue;
            }
            if rest.is_empty() {
                return Ok(None);
            }
            let (piece, taken) = self.cuts.first(rest);
            let piece = piece.to_owned();
            self.given += taken;
            let last = self.given == self.held.len();
            if self.given > self.held.len() / 2 {
                self.held.drain(..self.given);
                self.given = 0;
            }
            return Ok(Some((piece, last && self.ended)));
        }
    }

    /// Reads more of the file into `held`.
    fn fill(&mut self) -> Result<(), DataError> {
        let begins = self.offset == 0 && self.half.is_empty();
        let read = self.reader.by_ref().take(CHUNK).read_to_end(&mut self.half);
        let read = read.map_err(|reason| DataError::unreadable(&self.path, reason))?;
        self.ended = read == 0;
        let whole = match std::str::from_utf8(&self.half) {
            // The last character is incomplete, not wrong.
            Err(error) if error.error_len().is_none() && !self.ended => error.valid_up_to(),
            _ => self.half.len(),
        };
        if let Some(error) = not_text(&self.path, &self.half[..whole], self.offset, self.lines) {
            return Err(error);
        }
        let text = String::from_utf8_lossy(&self.half[..whole]);
        self.held += match begins {
            true => text.strip_prefix('\u{feff}').unwrap_or(&text),
            false => &text,
        };
        self.lines += line_feeds(&self.half[..whole]);
        self.half.drain(..whole);
        self.offset += whole;
        Ok(())
    }
}

/// The error for bytes that are not text: a NUL, or a byte that is not UTF-8. They begin at byte `offset` of the text,
/// after `lines` line ends.
pub(in crate::data) fn not_text(
    path: &Path,
    bytes: &[u8],
    offset: usize,
    lines: u64,
) -> Option<DataError> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    };
    // A NUL before the wrong byte tells more: the file is binary.
    let nul = bytes[..valid].iter().position(|&byte| byte == 0);
    let at = nul.unwrap_or(valid);
    let (path, offset) = (path.to_path_buf(), offset + at);
    let line = lines + 1 + line_feeds(&bytes[..at]);
    match nul {
        Some(_) => Some(DataError::Binary { path, offset, line }),
        None if valid < bytes.len() => Some(DataError::NotUtf8 { path, offset, line }),
        None => None,
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}
