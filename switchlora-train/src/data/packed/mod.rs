//! Packed token files: a corpus, encoded once, from which a run reads any range.
//!
//! A `.tokens` file is little-endian. Its header determines its length:
//!
//! ```text
//! header   80 bytes           magic "SLTOKENS"  version u32 = 1   width u32 = 2 or 4   count u64
//!                             vocab_size u32    block u32         tokenizer_sha256 [32]
//!                             zeros [12]        crc32 of the 76 bytes before
//! tokens   count * width      the ids, each below vocab_size
//! table    4 * blocks         crc32 of the bytes of each block of `block` tokens; the last block may be short
//! crc32    4 bytes            of the table
//! ```
//!
//! [`PackedWriter`] writes a file in bounded memory; the file gets its name when it is complete. [`PackedTokens`]
//! checks header, length and table when it opens a file, and each block when it is first read, so a damaged file is an
//! error and never gives wrong tokens. A checked block is trusted from then on: a process that overwrites it in place,
//! while a run uses the file, is not detected by the CRC-32.
//!
//! The file is not memory-mapped: truncating a mapped file kills the process with SIGBUS. A positional read returns an
//! error instead, on which a training run stops cleanly.

mod error;
mod half_written;
mod header;
mod positional;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod verified;
mod width;
mod writer;

use std::path::Path;

pub use error::{PackedError, PackedFault};
pub use reader::PackedTokens;
pub use writer::{PackedWriter, WriterState};

/// Whether the path has the extension of a packed token file, `.tokens`.
pub(crate) fn is_packed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "tokens")
}
