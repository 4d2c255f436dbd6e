//! Errors of text files, tokenizers and token ids.

use super::packed::PackedError;
use crate::advice::advice;
use crate::at_path::AtPath;
use std::io;
use std::path::{Path, PathBuf};

/// Why text could not become batches. Each message says what was found, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A given path does not exist.
    #[error("{}: no such file or folder; check the path", path.display())]
    PathMissing {
        /// The path as it was given.
        path: PathBuf,
    },

    /// The system refused to read a file or folder.
    #[error("{}: cannot be read ({reason}); {}", path.display(), advice(reason))]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        reason: io::Error,
    },

    /// A file is damaged, or is not what its name says.
    #[error("{}: {found}; {advice}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Its content, with the place of the fault if there is one.
        found: String,
        /// What to do.
        advice: &'static str,
    },

    /// A file given by name is empty.
    #[error("{}: the file is empty; give a file with text in it", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// A file contains a NUL byte, so it is not text.
    #[error(
        "{}: not text, byte {offset} is NUL (on line {line}); leave the file out, or convert it to UTF-8 if it is UTF-16",
        path.display()
    )]
    Binary {
        /// The file.
        path: PathBuf,
        /// Position of the first NUL byte, counted from 0.
        offset: usize,
        /// Its line, counted from 1.
        line: u64,
    },

    /// A file is not UTF-8.
    #[error(
        "{}: not UTF-8 from byte {offset} on (on line {line}); convert the file to UTF-8, or leave it out",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Position of the first byte that is not UTF-8, counted from 0.
        offset: usize,
        /// Its line, counted from 1.
        line: u64,
    },

    /// A folder and its subfolders contain no text.
    #[error(
        "{}: no text files in this folder (hidden and empty files and links to folders are skipped); give a folder of UTF-8 text files",
        path.display()
    )]
    NoTextFiles {
        /// The folder.
        path: PathBuf,
    },

    /// A line or row has no text in the expected field.
    #[error("{}: {place}: {reason}; correct it, or skip such lines with --malformed skip", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line or row, counted from 1, for example `line 7`.
        place: String,
        /// Description of the fault.
        reason: String,
    },

    /// A Parquet file is damaged or lacks the text column.
    #[error("{0}")]
    Parquet(AtPath<String>),

    /// The inputs contain no document.
    #[error("{}: no document found ({first}); check the files and --field", path.display())]
    NoDocuments {
        /// The first of the inputs.
        path: PathBuf,
        /// The first line or row that was skipped, and why.
        first: String,
    },

    /// The system refused to write a file.
    #[error("{}: cannot be written ({reason}); {}", path.display(), advice(reason))]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        reason: io::Error,
    },

    /// A given path is a pipe, a device or a socket.
    #[error("{}: not a file or folder but a pipe or device, which a resumed run could not read again; write the text \
             to a file first", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },

    /// Another process writes the file.
    #[error("{}: process {process} is writing it; wait for it to end, or choose another file", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The id of that process.
        process: String,
    },

    /// The cache of packed text cannot be written.
    #[error("{reason} (the cache of packed text; SWITCHLORA_CACHE chooses another folder for it)")]
    Cache {
        /// The error of the file or folder.
        reason: Box<DataError>,
    },

    /// The embedded text is damaged.
    #[error(
        "the embedded text cannot be decoded ({reason}); make it again as assets/README.md describes, and rebuild"
    )]
    EmbeddedText {
        /// Description of the fault.
        reason: String,
    },

    /// A document cannot be stored in an archive without ambiguity.
    #[error("document {name:?} cannot be archived: {reason}; remove the character")]
    Unarchivable {
        /// Name of the document.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },

    /// A file is not a tokenizer.
    #[error("{origin}: not a tokenizer ({reason}); give a Hugging Face `tokenizer.json`")]
    TokenizerFormat {
        /// The file or other source of the JSON.
        origin: String,
        /// The parser's message.
        reason: String,
    },

    /// A file beside a tokenizer cannot be used.
    #[error("{}: {reason}", path.display())]
    BesideTokenizer {
        /// The file.
        path: PathBuf,
        /// Description of the fault.
        reason: String,
    },

    /// A tokenizer has no end-of-text token.
    #[error(
        "{origin}: no end-of-text token (looked for {}); name it as \"eos_token\" in a tokenizer_config.json beside it",
        looked_for.join(", ")
    )]
    NoEndOfText {
        /// The file or other source of the JSON.
        origin: String,
        /// The accepted end-of-text tokens.
        looked_for: &'static [&'static str],
    },

    /// The tokenizer refused a text.
    #[error(
        "{document}: the tokenizer cannot encode it ({reason}); check the tokenizer's model and its unknown token"
    )]
    Encode {
        /// Name of the document.
        document: String,
        /// The tokenizer's message.
        reason: String,
    },

    /// The tokenizer refused to decode ids.
    #[error(
        "the tokenizer cannot decode {tokens} tokens ({reason}); check the decoder in its file"
    )]
    Decode {
        /// Number of ids.
        tokens: usize,
        /// The tokenizer's message.
        reason: String,
    },

    /// A size that must be at least 1 is 0.
    #[error("the {what} is 0; make it at least 1")]
    ZeroSize {
        /// Which size.
        what: &'static str,
    },

    /// The text is shorter than one sequence.
    #[error(
        "the text has {found} tokens and one sequence needs {needed}; give more text or a shorter sequence length"
    )]
    TooShort {
        /// Tokens in the text.
        found: usize,
        /// Tokens in one window: the sequence length plus one.
        needed: usize,
    },

    /// An id for which the model has no embedding.
    #[error(
        "token {position} of the text is {token}, but the model's ids are below {vocab_size}; \
         use the tokenizer the model was trained with, or a model with a larger vocabulary"
    )]
    TokenOutOfRange {
        /// The token id.
        token: u32,
        /// Its position in the text, counted from 0.
        position: usize,
        /// Size of the model's vocabulary.
        vocab_size: usize,
    },

    /// A token for which the model has no embedding.
    #[error("{token}: {error}")]
    NoEmbedding {
        /// The token and its id.
        token: String,
        /// Where the text has it.
        error: Box<DataError>,
    },

    /// Not a packed token file, damaged, or changed since it was opened.
    #[error(transparent)]
    Packed(#[from] PackedError),

    /// A packed file was made with another tokenizer.
    #[error(
        "{}: packed with another tokenizer, or with other tokens around documents; pass that one with --tokenizer, or pack \
         the text again",
        path.display()
    )]
    OtherTokenizer {
        /// The file.
        path: PathBuf,
    },

    /// The weights of the files are unusable.
    #[error(
        "weights are {found:?}, expected one number above 0 for each of {files} packed files, each with at least one sequence; \
         text that is not packed is one file"
    )]
    Weights {
        /// The weights.
        found: Vec<f64>,
        /// Number of files.
        files: usize,
    },

    /// Packed files and text were given together.
    #[error("{}: not a .tokens file like the others; give packed files only, or text only", path.display())]
    Mixed {
        /// The first path that is not a packed file.
        path: PathBuf,
    },
}

impl DataError {
    /// The error of a failed read: [`PathMissing`](Self::PathMissing), [`Content`](Self::Content) if the content is at
    /// fault, else [`Unreadable`](Self::Unreadable).
    pub(super) fn unreadable(path: &Path, reason: io::Error) -> Self {
        match reason.kind() {
            io::ErrorKind::NotFound => Self::PathMissing {
                path: path.to_path_buf(),
            },
            io::ErrorKind::InvalidData => {
                let found = format!("cannot be read: {reason}");
                Self::content(path, found, "copy or download the file again")
            }
            io::ErrorKind::Unsupported => {
                let found = format!("cannot be read: {reason}");
                Self::content(
                    path,
                    found,
                    "compress the file again, with the usual settings",
                )
            }
            _ => Self::Unreadable {
                path: path.to_path_buf(),
                reason,
            },
        }
    }

    /// The error of a file that is damaged, or is not what its name says.
    pub(super) fn content(path: &Path, found: impl Into<String>, advice: &'static str) -> Self {
        Self::Content {
            path: path.to_path_buf(),
            found: found.into(),
            advice,
        }
    }

    /// The error of a failed write.
    pub(super) fn unwritable(path: &Path, reason: io::Error) -> Self {
        let path = path.to_path_buf();
        Self::Unwritable { path, reason }
    }
}
