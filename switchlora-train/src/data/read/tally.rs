//! Counts the bytes that are consumed from a reader, so that a message can say where a file is damaged.

use std::io::{self, BufRead, Read};

/// A reader that knows its position.
pub(super) struct Tally<R> {
    inner: R,
    /// Bytes consumed so far.
    pub at: u64,
}

impl<R> Tally<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, at: 0 }
    }
}

impl<R: BufRead> Read for Tally<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Tally<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.at += count as u64;
    }
}

/// An error of damaged content, which is not the system's fault.
pub(super) fn damaged(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
