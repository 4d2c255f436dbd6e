//! Everything that can be wrong with a packed token file.

use std::io;
use std::path::PathBuf;

/// Why tokens could not be packed or read back. Each message stands alone: what was found, where, and what to do about
/// it. Offsets are in bytes from the start of the file, positions in tokens; both count from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackedError {
    /// There is no file at the path.
    #[error("{}: no such file; check the path, or pack the text first", path.display())]
    Missing {
        /// The path as it was given.
        path: PathBuf,
    },

    /// The file is something else.
    #[error(
        "{}: not a packed token file, byte 0 begins \"{}\" and not \"SLTOKENS\"; give a `.tokens` file",
        path.display(),
        found.escape_ascii()
    )]
    NotPacked {
        /// The file.
        path: PathBuf,
        /// Its first bytes, eight if it has them.
        found: Vec<u8>,
    },

    /// The file was written by another version of the program.
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

    /// The header is damaged, or says what no writer writes.
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
        /// Where the field begins.
        offset: u64,
        /// What it holds.
        found: u64,
        /// What it may hold.
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
        /// The length that follows from the header; the least there is, where the header itself is cut short.
        expected: u64,
        /// The length of the file.
        found: u64,
    },

    /// The table of the blocks' checksums is damaged.
    #[error(
        "{}: the table at byte {offset} is damaged, its crc32 is {found:08x} and must be {expected:08x}; \
         copy the file again, or pack the text again",
        path.display()
    )]
    Table {
        /// The file.
        path: PathBuf,
        /// Where the table begins.
        offset: u64,
        /// The crc32 in the file.
        expected: u32,
        /// The crc32 of the table in the file.
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
        /// Which block, counted from 0.
        block: u64,
        /// Where the block begins.
        offset: u64,
        /// The crc32 in the table.
        expected: u32,
        /// The crc32 of the block in the file.
        found: u32,
    },

    /// The file was deleted or replaced while it was open, so that no run could go on from it.
    #[error(
        "{}: deleted or replaced when it was to be read from byte {offset} on; put the same file back",
        path.display()
    )]
    Vanished {
        /// Where the file was.
        path: PathBuf,
        /// What was to be read next.
        offset: u64,
    },

    /// The length of the file changed while it was open.
    #[error(
        "{}: had {expected} bytes when it was opened and has {found} now, it is not the same from byte {offset} on; \
         put the same file back",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The first byte that is missing, or the first too many.
        offset: u64,
        /// The length when it was opened.
        expected: u64,
        /// The length now.
        found: u64,
    },

    /// An id that is not in the vocabulary: refused when it is packed, an error when it is read.
    #[error(
        "{}: token {position} (byte {offset}) is {token}, the ids here are below {vocab_size}; \
         pack the text with the tokenizer the vocabulary is of",
        path.display()
    )]
    TokenOutOfRange {
        /// The file.
        path: PathBuf,
        /// The id.
        token: u32,
        /// Its position among the tokens.
        position: u64,
        /// Its place in the file.
        offset: u64,
        /// Size of the vocabulary.
        vocab_size: u32,
    },

    /// More tokens were asked for than there are.
    #[error(
        "{}: tokens from {start} on, {length} of them, were asked for and the file has {count}; ask for fewer",
        path.display()
    )]
    Beyond {
        /// The file.
        path: PathBuf,
        /// Position of the first token asked for.
        start: u64,
        /// How many were asked for.
        length: usize,
        /// How many there are.
        count: u64,
    },

    /// A vocabulary of nothing, in which no token has an id.
    #[error("{}: a vocabulary of 0 tokens cannot be packed; make it at least 1", path.display())]
    NoVocabulary {
        /// The file that was to be.
        path: PathBuf,
    },

    /// The system refused to write.
    #[error(
        "{}: cannot be written from byte {offset} on ({reason}); check the folder, its permissions and the free space",
        path.display()
    )]
    Write {
        /// The file that was to be.
        path: PathBuf,
        /// Where it was to be written.
        offset: u64,
        /// What the system said.
        reason: io::Error,
    },

    /// The system refused to read.
    #[error("{}: cannot be read from byte {offset} on ({reason}); check the disk and the permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where it was to be read.
        offset: u64,
        /// What the system said.
        reason: io::Error,
    },
}
