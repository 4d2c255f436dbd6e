//! Errors of packed token files.

use std::io;
use std::path::PathBuf;

/// Why tokens could not be packed or read back. Each message says what was found, where, and what to do about it.
/// Offsets are in bytes from the start of the file, positions in tokens; both count from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// No file exists at the path.
    #[error("{}: no such file; check the path, or pack the text first", path.display())]
    Missing {
        /// The path as it was given.
        path: PathBuf,
    },

    /// The file is not a packed token file.
    #[error(
        "{}: not a packed token file, byte 0 begins \"{}\" and not \"SLTOKENS\"; give a `.tokens` file",
        path.display(),
        found.escape_ascii()
    )]
    NotPacked {
        /// The file.
        path: PathBuf,
        /// The first bytes of the file, at most eight.
        found: Vec<u8>,
    },

    /// The file has another format version.
    #[error(
        "{}: byte 8 says format version {found}, this program reads version {expected}; \
         pack the text again with this program",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version this program reads.
        expected: u32,
    },

    /// The header is damaged, or a field has a value that no writer produces.
    #[error(
        "{}: the header is damaged, its {field} at byte {offset} is {found} and must be {expected}; \
         copy the file again, or pack the text again",
        path.display()
    )]
    Header {
        /// The file.
        path: PathBuf,
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
        "{}: the file ends at byte {found} and must end at byte {expected}; copy it again, or pack the text again",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The length that follows from the header, or the least possible length if the header itself is cut short.
        expected: u64,
        /// The length of the file.
        found: u64,
    },

    /// The table of checksums is damaged.
    #[error(
        "{}: the table at byte {offset} is damaged, its crc32 is {found:08x} and must be {expected:08x}; \
         copy the file again, or pack the text again",
        path.display()
    )]
    Table {
        /// The file.
        path: PathBuf,
        /// Offset of the table.
        offset: u64,
        /// The CRC-32 stored in the file.
        expected: u32,
        /// The CRC-32 computed from the table.
        found: u32,
    },

    /// A block of tokens is damaged.
    #[error(
        "{}: block {block} at byte {offset} is damaged, its crc32 is {found:08x} and must be {expected:08x}; \
         copy the file again, or pack the text again",
        path.display()
    )]
    Block {
        /// The file.
        path: PathBuf,
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
        "{}: deleted or replaced while it was in use (next read: byte {offset}); put the same file back",
        path.display()
    )]
    Vanished {
        /// The path at which the file was opened.
        path: PathBuf,
        /// Offset of the read that failed.
        offset: u64,
    },

    /// The length of the file changed while it was open.
    #[error(
        "{}: had {expected} bytes when it was opened and has {found} now, so it differs from byte {offset} on; \
         put the same file back",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Offset of the first missing or added byte.
        offset: u64,
        /// The length when it was opened.
        expected: u64,
        /// The length now.
        found: u64,
    },

    /// An id is not below the vocabulary size, in tokens to pack or in a packed file.
    #[error(
        "{}: token {position} (byte {offset}) is {token}, expected an id below {vocab_size}; \
         pack the text with the tokenizer that the vocabulary size belongs to",
        path.display()
    )]
    TokenOutOfRange {
        /// The file.
        path: PathBuf,
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
        "{}: a read of {length} tokens from position {start} on exceeds the file's {count} tokens; read fewer",
        path.display()
    )]
    Beyond {
        /// The file.
        path: PathBuf,
        /// Position of the first token of the read.
        start: u64,
        /// Number of tokens of the read.
        length: usize,
        /// Number of tokens in the file.
        count: u64,
    },

    /// The vocabulary size is 0.
    #[error("{}: the vocabulary size is 0; make it at least 1", path.display())]
    NoVocabulary {
        /// The file to be written.
        path: PathBuf,
    },

    /// The system refused to write.
    #[error(
        "{}: cannot be written from byte {offset} on ({reason}); check the folder, its permissions and the free space",
        path.display()
    )]
    Write {
        /// The file to be written.
        path: PathBuf,
        /// Offset of the write that failed.
        offset: u64,
        /// The system's message.
        reason: io::Error,
    },

    /// The system refused to read.
    #[error("{}: cannot be read from byte {offset} on ({reason}); check the disk and the permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Offset of the read that failed.
        offset: u64,
        /// The system's message.
        reason: io::Error,
    },
}
