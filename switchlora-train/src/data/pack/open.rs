//! Opens a file for reading: decompresses as it reads, and counts the bytes read.

use super::super::DataError;
use super::inputs::{Compression, Input};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buffer size in bytes.
const BUFFER: usize = 256 << 10;

/// Number of bytes read from files so far, for the progress display.
pub(super) type BytesRead = Arc<AtomicU64>;

/// Opens the file. The memory does not depend on the size of the file.
///
/// # Errors
///
/// [`DataError::PathMissing`] or [`DataError::Unreadable`].
pub(super) fn open(input: &Input, read: &BytesRead) -> Result<Box<dyn BufRead>, DataError> {
    let refused = |reason| DataError::unreadable(&input.path, reason);
    let file = File::open(&input.path).map_err(refused)?;
    let file = BufReader::with_capacity(
        BUFFER,
        Counted {
            file,
            read: read.clone(),
        },
    );
    Ok(match input.compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(refused)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    })
}

struct Counted {
    file: File,
    read: BytesRead,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
