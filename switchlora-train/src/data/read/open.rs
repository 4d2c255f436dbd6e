//! Opens a file for reading: checks that its content is what its name says, decompresses, and counts the bytes read.

use super::super::DataError;
use super::content::Content;
use super::gzip::Gzip;
use super::inputs::{Compression, Form, Input};
use super::zstandard::Zstandard;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buffer size in bytes.
const BUFFER: usize = 256 << 10;

/// Number of bytes read from files so far, for the progress display.
pub(in crate::data) type BytesRead = Arc<AtomicU64>;

/// Opens a file of text or JSON. The memory does not depend on the size of the file.
///
/// # Errors
///
/// [`DataError::PathMissing`] or [`DataError::Unreadable`]; [`DataError::Content`] if the file is not what its name
/// says.
pub(in crate::data) fn open(
    input: &Input,
    read: &BytesRead,
) -> Result<Box<dyn BufRead>, DataError> {
    let path = &input.path;
    let refused = |reason| DataError::unreadable(path, reason);
    if input.form == Form::Table {
        let advice =
            "write it as JSON lines or Parquet, or let its name end in .txt to read it as one text";
        return Err(DataError::content(
            path,
            "tables of values (CSV, TSV) are not read",
            advice,
        ));
    }
    let file = Counted {
        file: File::open(path).map_err(refused)?,
        read: read.clone(),
    };
    let mut file = BufReader::with_capacity(BUFFER, file);
    let found = Content::of(file.fill_buf().map_err(refused)?);
    let wrong =
        |content: Content| DataError::content(path, format!("this is {content}"), content.advice());
    let named = match input.compression {
        Compression::None => None,
        Compression::Gzip => Some((Content::Gzip, "gzip")),
        Compression::Zstd => Some((Content::Zstd, "Zstandard")),
    };
    match (named, found) {
        (None, Some(content)) => return Err(wrong(content)),
        (Some((content, _)), Some(found)) if content != found => return Err(wrong(found)),
        (Some((_, name)), None) => {
            let begins = begins(file.fill_buf().map_err(refused)?);
            let found = format!("not {name}, as its name says: it begins with {begins}");
            let advice = "correct its name, or download it again";
            return Err(DataError::content(path, found, advice));
        }
        _ => {}
    }
    let mut decoded: Box<dyn BufRead> = match input.compression {
        Compression::None => return Ok(Box::new(file)),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, Gzip::new(file))),
        Compression::Zstd => {
            let decoder = Zstandard::new(file).map_err(refused)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    };
    match Content::of(decoded.fill_buf().map_err(refused)?) {
        None => Ok(decoded),
        Some(content) => {
            let advice = match content {
                Content::Gzip | Content::Zstd => "it was compressed twice: unpack it once",
                Content::Parquet => "unpack it, and let its name end in .parquet",
                content => content.advice(),
            };
            Err(DataError::content(
                path,
                format!("once unpacked, this is {content}"),
                advice,
            ))
        }
    }
}

/// The first bytes of a file for a message.
fn begins(head: &[u8]) -> String {
    let head = &head[..head.len().min(8)];
    format!("\"{}\"", head.escape_ascii())
}

/// Checks the first bytes of a file that should be Parquet.
///
/// # Errors
///
/// The errors of [`open`].
pub(super) fn check_parquet(path: &Path, compression: Compression) -> Result<(), DataError> {
    let refused = |reason| DataError::unreadable(path, reason);
    let mut file = BufReader::with_capacity(1 << 10, File::open(path).map_err(refused)?);
    let head = file.fill_buf().map_err(refused)?;
    let (found, advice) = match Content::of(head) {
        _ if compression != Compression::None => (
            "Parquet files inside gzip or Zstandard are not read".to_owned(),
            "unpack it: Parquet compresses itself",
        ),
        Some(Content::Parquet) => return Ok(()),
        None if head.starts_with(b"PAR1") => return Ok(()),
        Some(content @ (Content::Gzip | Content::Zstd)) => (
            format!("not a Parquet file, as its name says: this is {content}"),
            "unpack it",
        ),
        Some(content) => (format!("this is {content}"), content.advice()),
        None => (
            format!(
                "not a Parquet file, as its name says: it begins with {}",
                begins(head)
            ),
            "correct its name, or download it again",
        ),
    };
    Err(DataError::content(path, found, advice))
}

struct Counted {
    file: File,
    read: BytesRead,
}

impl Read for Counted {
    /// Reads again if a signal came in between, so that no decoder above has to.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    let count = result?;
                    self.read.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
            }
        }
    }
}
