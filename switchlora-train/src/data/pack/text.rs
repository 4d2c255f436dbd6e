//! A file that is one text, read and cut as it comes.

use super::super::DataError;
use super::super::cuts::Cuts;
use super::inputs::refused;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK: u64 = 256 << 10;

/// The pieces of one text.
pub(super) struct Text {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    cuts: Cuts,
    /// What has been read and is not given away, from `given` on.
    held: String,
    given: usize,
    /// Bytes after it that are not yet a whole character.
    half: Vec<u8>,
    /// Bytes of the file before those in `half`.
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

    /// The next piece, and whether it is the last; none after it, or where there is no text at all.
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

    fn fill(&mut self) -> Result<(), DataError> {
        let begins = self.offset == 0 && self.half.is_empty();
        let read = self.reader.by_ref().take(CHUNK).read_to_end(&mut self.half);
        let read = read.map_err(|error| refused(&self.path, error))?;
        self.ended = read == 0;
        let path = || self.path.clone();
        let whole = match std::str::from_utf8(&self.half) {
            Ok(text) => text.len(),
            // Not wrong, only not all there.
            Err(error) if error.error_len().is_none() && !self.ended => error.valid_up_to(),
            Err(error) => {
                let offset = self.offset + error.valid_up_to();
                // A NUL before it says more about what the file is.
                return Err(match self.nul(error.valid_up_to()) {
                    Some(error) => error,
                    None => DataError::NotUtf8 {
                        path: path(),
                        offset,
                    },
                });
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

    fn nul(&self, whole: usize) -> Option<DataError> {
        let at = self.half[..whole].iter().position(|&byte| byte == 0)?;
        Some(DataError::Binary {
            path: self.path.clone(),
            offset: self.offset + at,
        })
    }
}
