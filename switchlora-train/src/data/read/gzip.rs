//! Decompresses gzip as Python's `gzip` does: members one after the other, with zeros between and behind them.

use super::tally::{Tally, damaged};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, ErrorKind, Read};

/// A decompressing reader. Bytes behind a member that are neither zeros nor another member are an error.
pub(super) struct Gzip<R> {
    state: State<R>,
    /// Position in the file of the current member.
    member: u64,
}

enum State<R> {
    /// Before a member, and whether there was one before it.
    Between(Tally<R>, bool),
    Member(Box<GzDecoder<Tally<R>>>),
    Ended,
    Failed,
}

impl<R: BufRead> Gzip<R> {
    pub fn new(reader: R) -> Self {
        let state = State::Between(Tally::new(reader), false);
        Self { state, member: 0 }
    }

    /// The error in words. Errors of the system stay as they are.
    fn explain(&self, error: io::Error) -> io::Error {
        let member = self.member;
        match error.kind() {
            ErrorKind::UnexpectedEof => damaged(format!(
                "the gzip member that begins at byte {member} is cut off"
            )),
            ErrorKind::InvalidInput | ErrorKind::InvalidData => damaged(format!(
                "the gzip member that begins at byte {member} is damaged: {error}"
            )),
            _ => error,
        }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Between(mut reader, after) => {
                    let Some(first) = next_byte(&mut reader, after)? else {
                        self.state = State::Ended;
                        return Ok(0);
                    };
                    self.member = reader.at;
                    if after && first != 0x1f {
                        let at = reader.at;
                        return Err(damaged(format!(
                            "from byte {at} on, behind the gzip data, it is not gzip"
                        )));
                    }
                    self.state = State::Member(Box::new(GzDecoder::new(reader)));
                }
                State::Member(mut decoder) => {
                    let count = decoder.read(bytes).map_err(|error| self.explain(error))?;
                    self.state = match count {
                        0 => State::Between(decoder.into_inner(), true),
                        _ => State::Member(decoder),
                    };
                    if count > 0 {
                        return Ok(count);
                    }
                }
                State::Ended => {
                    self.state = State::Ended;
                    return Ok(0);
                }
                State::Failed => return Err(damaged("reading it has failed before".to_owned())),
            }
        }
    }
}

/// The next byte, which is not consumed. Skips zeros before it if `skip_zeros`.
fn next_byte(reader: &mut impl BufRead, skip_zeros: bool) -> io::Result<Option<u8>> {
    loop {
        let found = reader.fill_buf()?;
        let zeros = match skip_zeros {
            true => found.iter().take_while(|&&byte| byte == 0).count(),
            false => 0,
        };
        let next = found.get(zeros).copied();
        let at_end = found.is_empty();
        reader.consume(zeros);
        if next.is_some() || at_end {
            return Ok(next);
        }
    }
}
