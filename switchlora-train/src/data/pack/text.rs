//! Reads a file that is one document, and cuts it into pieces as it reads.

use super::super::DataError;
use super::super::cuts::Cuts;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes per read.
const CHUNK: u64 = 256 << 10;

/// The pieces of one text.
pub(super) struct Text {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    cuts: Cuts,
    /// Text that has been read; from byte `given` on it has not been returned.
    held: String,
    given: usize,
    /// Bytes after `held` that are not a complete character yet.
    half: Vec<u8>,
    /// Offset in the file of the first byte of `half`.
    offset: usize,
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
            Ok(text) => text.len(),
            // The last character is incomplete, not wrong.
            Err(error) if error.error_len().is_none() && !self.ended => error.valid_up_to(),
            Err(error) => {
                // A NUL before the wrong byte tells more: the file is binary.
                return Err(self.nul(error.valid_up_to()).unwrap_or(DataError::NotUtf8 {
                    path: self.path.clone(),
                    offset: self.offset + error.valid_up_to(),
                }));
            }
        };
        if let Some(error) = self.nul(whole) {
            return Err(error);
        }
        let text = String::from_utf8_lossy(&self.half[..whole]);
        self.held += match begins {
            true => text.strip_prefix('\u{feff}').unwrap_or(&text),
            false => &text,
        };
        self.half.drain(..whole);
        self.offset += whole;
        Ok(())
    }

    /// The error for a NUL in the first `whole` bytes of `half`, if there is one.
    fn nul(&self, whole: usize) -> Option<DataError> {
        let at = self.half[..whole].iter().position(|&byte| byte == 0)?;
        Some(DataError::Binary {
            path: self.path.clone(),
            offset: self.offset + at,
        })
    }
}
