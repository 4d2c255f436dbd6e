//! Packed token files: a corpus, tokenized once, that any run can read from the middle.
//!
//! A `.tokens` file is little endian, and its header fixes its length to the byte:
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
//! [`PackedWriter`] makes one in bounded memory, and nothing lies at its path before all of it does. [`PackedTokens`]
//! checks header, length and table when it opens, and each block the first time it is touched: a damaged file is an
//! error, not other tokens. A block that was verified is trusted from then on; who overwrites it in place, under a run
//! that has read it, is not caught by its crc32.
//!
//! The file is not mapped into memory. A file that is cut short under a map kills the process with SIGBUS; a positional
//! read gives an error, and a training run can turn an error into a clean stop.

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

pub use error::PackedError;
pub use reader::PackedTokens;
pub use writer::{PackedWriter, WriterState};
