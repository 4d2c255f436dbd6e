//! Errors of packed token files.

use crate::advice::advice;
use crate::at_path::AtPath;
use std::io;

/// Why tokens could not be packed or read back, and the path of their file.
pub type PackedError = AtPath<PackedFault>;

/// Why tokens could not be packed or read back. Each message says what was found, where, and what to do about it.
/// Offsets are in bytes from the start of the file, positions in tokens; both count from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackedFault {
    /// No file exists at the path.
    #[error("no such file; check the path, or pack the text first")]
    Missing,

    /// The file is not a packed token file.
    #[error(
        "not a packed token file, byte 0 begins \"{}\" and not \"SLTOKENS\"; give a `.tokens` file",
        found.escape_ascii()
    )]
    NotPacked {
        /// The first bytes of the file, at most eight.
        found: Vec<u8>,
    },

    /// The file has another format version.
    #[error(
        "byte 8 says format version {found}, this program reads version {expected}; \
         pack the text again with this program"
    )]
    Version {
        /// The version in the file.
        found: u32,
        /// The version this program reads.
        expected: u32,
    },

    /// The header is damaged, or a field has a value that no writer produces.
    #[error(
        "the header is damaged, its {field} at byte {offset} is {found} and must be {expected}; \
         copy the file again, or pack the text again"
    )]
    Header {
        /// Name of the field.
        field: &'static str,
        /// Offset of the field.
        offset: u64,
        /// The value of the field.
        found: u64,
        /// The allowed values.
        expected: String,
    },

    /// The file is shorter or longer than its header says.
    #[error(
        "the file ends at byte {found} and must end at byte {expected}; copy it again, or pack the text again"
    )]
    Length {
        /// The length that follows from the header, or the least possible length if the header itself is cut short.
        expected: u64,
        /// The length of the file.
        found: u64,
    },

    /// The table of checksums is damaged.
    #[error(
        "the table at byte {offset} is damaged, its crc32 is {found:08x} and must be {expected:08x}; \
         copy the file again, or pack the text again"
    )]
    Table {
        /// Offset of the table.
        offset: u64,
        /// The CRC-32 stored in the file.
        expected: u32,
        /// The CRC-32 computed from the table.
        found: u32,
    },

    /// A block of tokens is damaged.
    #[error(
        "block {block} at byte {offset} is damaged, its crc32 is {found:08x} and must be {expected:08x}; \
         copy the file again, or pack the text again"
    )]
    Block {
        /// Number of the block, counted from 0.
        block: u64,
        /// Offset of the block.
        offset: u64,
        /// The CRC-32 stored in the table.
        expected: u32,
        /// The CRC-32 computed from the block.
        found: u32,
    },

    /// The file was deleted or replaced while it was open. A run that continued from it could not be resumed.
    #[error(
        "deleted or replaced while it was in use (next read: byte {offset}); put the same file back"
    )]
    Vanished {
        /// Offset of the read that failed.
        offset: u64,
    },

    /// The length of the file changed while it was open.
    #[error(
        "had {expected} bytes when it was opened and has {found} now, so it differs from byte {offset} on; \
         put the same file back"
    )]
    Truncated {
        /// Offset of the first missing or added byte.
        offset: u64,
        /// The length when it was opened.
        expected: u64,
        /// The length now.
        found: u64,
    },

    /// An id is not below the vocabulary size, in tokens to pack or in a packed file.
    #[error(
        "token {position} (byte {offset}) is {token}, expected an id below {vocab_size}; \
         pack the text with the tokenizer that the vocabulary size belongs to"
    )]
    TokenOutOfRange {
        /// The id.
        token: u32,
        /// Position of the id.
        position: u64,
        /// Offset of the id.
        offset: u64,
        /// Vocabulary size of the file.
        vocab_size: u32,
    },

    /// A read reaches beyond the last token.
    #[error(
        "a read of {length} tokens from position {start} on exceeds the file's {count} tokens; read fewer"
    )]
    Beyond {
        /// Position of the first token of the read.
        start: u64,
        /// Number of tokens of the read.
        length: usize,
        /// Number of tokens in the file.
        count: u64,
    },

    /// The vocabulary size is 0.
    #[error("the vocabulary size is 0; make it at least 1")]
    NoVocabulary,

    /// The system refused to write.
    #[error(
        "cannot be written from byte {offset} on ({reason}); {}",
        advice(reason)
    )]
    Write {
        /// Offset of the write that failed.
        offset: u64,
        /// The system's message.
        reason: io::Error,
    },

    /// The system refused to read.
    #[error("cannot be read from byte {offset} on ({reason}); {}", advice(reason))]
    Read {
        /// Offset of the read that failed.
        offset: u64,
        /// The system's message.
        reason: io::Error,
    },
}
