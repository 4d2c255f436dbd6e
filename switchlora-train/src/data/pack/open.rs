//! A file as the bytes of its text: decompressed as it is read, and counted.

use super::super::DataError;
use super::inputs::{Compression, Input, refused};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are decompressed at a time.
const BUFFER: usize = 256 << 10;

/// Bytes of files that have been read, for who watches.
pub(super) type Read64 = Arc<AtomicU64>;

/// Opens the file. What is held of it at a time does not depend on its size.
pub(super) fn open(input: &Input, read: &Read64) -> Result<Box<dyn BufRead>, DataError> {
    let file = File::open(&input.path).map_err(|error| refused(&input.path, error))?;
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
            let decoder = zstd::stream::read::Decoder::with_buffer(file);
            let decoder = decoder.map_err(|error| refused(&input.path, error))?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    })
}

struct Counted {
    file: File,
    read: Read64,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
