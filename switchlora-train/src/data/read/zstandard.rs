//! Decompresses Zstandard: frames one after the other, with windows as large as `zstd --long=31` writes.
//!
//! A frame makes the decoder keep its window in memory: 8 MiB as `zstd` usually writes it, 2 GiB at most.

use super::tally::{Tally, damaged};
use std::io::{self, BufRead, ErrorKind, Read};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Largest window, as a power of two, in bytes.
const WINDOW_LOG: u32 = if cfg!(target_pointer_width = "64") {
    31
} else {
    30
};
/// Longest header of a frame in bytes, with its magic number.
const HEADER: usize = 18;

/// A decompressing reader.
pub(super) struct Zstandard<R> {
    reader: Tally<R>,
    decoder: Decoder<'static>,
    /// Bytes that were taken from the reader to look at a header, and are decoded before the reader's.
    taken: Vec<u8>,
    /// Position in the file of the frame that is being decoded.
    frame: Option<u64>,
}

impl<R: BufRead> Zstandard<R> {
    /// # Errors
    ///
    /// The decoder cannot be made.
    pub fn new(reader: R) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self {
            reader: Tally::new(reader),
            decoder,
            taken: Vec::new(),
            frame: None,
        })
    }

    /// Looks at the header of the next frame. Returns its position, or `None` at the end of the file.
    fn next_frame(&mut self) -> io::Result<Option<u64>> {
        let missing = (HEADER - self.taken.len().min(HEADER)) as u64;
        self.reader
            .by_ref()
            .take(missing)
            .read_to_end(&mut self.taken)?;
        if self.taken.is_empty() {
            return Ok(None);
        }
        let at = self.reader.at - self.taken.len() as u64;
        check(&self.taken).map_err(|(kind, reason)| {
            let reason = format!("the Zstandard frame that begins at byte {at} {reason}");
            io::Error::new(kind, reason)
        })?;
        Ok(Some(at))
    }

    /// One step of the decoder: bytes written, and whether the frame is complete.
    fn step(&mut self, bytes: &mut [u8], frame: u64) -> io::Result<(usize, bool)> {
        let from_taken = !self.taken.is_empty();
        let input = match from_taken {
            true => &self.taken,
            false => self.reader.fill_buf()?,
        };
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(bytes));
        let hint = self.decoder.run(&mut from, &mut to).map_err(|error| {
            damaged(format!(
                "the Zstandard frame that begins at byte {frame} is damaged: {error}"
            ))
        })?;
        let (read, written) = (from.pos(), to.pos());
        if input.is_empty() && written == 0 && hint > 0 {
            return Err(damaged(format!(
                "the Zstandard frame that begins at byte {frame} is cut off"
            )));
        }
        match from_taken {
            true => drop(self.taken.drain(..read)),
            false => self.reader.consume(read),
        }
        Ok((written, hint == 0))
    }
}

impl<R: BufRead> Read for Zstandard<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.next_frame()? {
                    Some(frame) => *self.frame.insert(frame),
                    None => return Ok(0),
                },
            };
            let (written, complete) = self.step(bytes, frame)?;
            if complete {
                self.frame = None;
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

/// Checks what a frame needs: the size of its window, and a dictionary. A cut header is left to the decoder.
///
/// # Errors
///
/// `InvalidData` if the frame is damaged, `Unsupported` if it needs what there is not, with the reason.
fn check(header: &[u8]) -> Result<(), (ErrorKind, String)> {
    let Some((&[a, b, c, d], rest)) = header.split_first_chunk() else {
        return Err((ErrorKind::InvalidData, "is cut off".to_owned()));
    };
    match [a, b, c, d] {
        [0x28, 0xb5, 0x2f, 0xfd] => {}
        // Skippable frames, and those of Zstandard before 1.0.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18] | [0x22..=0x27, 0xb5, 0x2f, 0xfd] => return Ok(()),
        _ => return Err((ErrorKind::InvalidData, "is not Zstandard".to_owned())),
    }
    let Some((&descriptor, mut rest)) = rest.split_first() else {
        return Ok(());
    };
    let mut number = |bytes: usize| {
        let (taken, left) = rest.split_at_checked(bytes)?;
        rest = left;
        let digits = taken.iter().rev();
        Some(digits.fold(0_u64, |number, &byte| number << 8 | u64::from(byte)))
    };
    let is_one_segment = descriptor & 0x20 != 0;
    let window = match is_one_segment {
        true => None,
        false => number(1).map(|byte| (1 << (10 + (byte >> 3))) / 8 * (8 + (byte & 7))),
    };
    let dictionary = number([0, 1, 2, 4][usize::from(descriptor & 3)]);
    // A frame of one segment has a window of its content's size.
    let content = number([1, 2, 4, 8][usize::from(descriptor >> 6)]);
    let window = window.or(content.filter(|_| is_one_segment));
    if let Some(window) = window.filter(|&window| window > 1 << WINDOW_LOG) {
        let (window, most) = (window >> 20, 1_u64 << (WINDOW_LOG - 20));
        let reason = format!("needs a window of {window} MiB, and at most {most} MiB are read");
        return Err((ErrorKind::Unsupported, reason));
    }
    match dictionary {
        Some(id) if id > 0 => Err((ErrorKind::Unsupported, format!("needs the dictionary {id}"))),
        _ => Ok(()),
    }
}
