//! Everything that can be wrong with text, a tokenizer or the tokens made with it.

use super::packed::PackedError;
use std::io;
use std::path::PathBuf;

/// Why text could not become batches. Each message stands alone: what was found, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A path that was given does not exist.
    #[error("{}: no such file or folder; check the path", path.display())]
    PathMissing {
        /// The path as it was given.
        path: PathBuf,
    },

    /// The system refused to read a file or folder.
    #[error("{}: cannot be read ({reason}); check its permissions", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },

    /// A file that was named holds nothing.
    #[error("{}: the file is empty; give a file with text in it", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// A file holds a NUL byte, which no text does.
    #[error(
        "{}: not text, byte {offset} is NUL; leave the file out, or convert it to UTF-8 if it is UTF-16",
        path.display()
    )]
    Binary {
        /// The file.
        path: PathBuf,
        /// Position of the first NUL byte, counted from 0.
        offset: usize,
    },

    /// A file is not UTF-8.
    #[error("{}: not UTF-8 from byte {offset} on; convert the file to UTF-8, or leave it out", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Position of the first byte that is not UTF-8, counted from 0.
        offset: usize,
    },

    /// A folder, with all the folders in it, holds no file with text.
    #[error(
        "{}: no text files in this folder (hidden and empty files are skipped); give a folder of UTF-8 text files",
        path.display()
    )]
    NoTextFiles {
        /// The folder.
        path: PathBuf,
    },

    /// A line or row holds no text where it should.
    #[error("{}: {place}: {reason}; correct it, or pass such lines over with --malformed skip", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line or row, counted from 1.
        place: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A Parquet file is not one, or has no such column.
    #[error("{}: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// Nothing in the inputs is a document.
    #[error("{}: not one document ({first}); check the files and --field", path.display())]
    NoDocuments {
        /// The first of the inputs.
        path: PathBuf,
        /// What was passed over first.
        first: String,
    },

    /// The system refused to write.
    #[error("{}: cannot be written ({reason}); check the folder, its permissions and the free space", path.display())]
    Unwritable {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },

    /// The text that is part of the program cannot be decoded.
    #[error(
        "the embedded text cannot be decoded ({reason}); make it again as assets/README.md says, and rebuild"
    )]
    EmbeddedText {
        /// What is wrong with it.
        reason: String,
    },

    /// A document cannot be stored in an archive.
    #[error("document {name:?} cannot be archived: {reason}; remove the character")]
    Unarchivable {
        /// Name of the document.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },

    /// A tokenizer file is not a tokenizer.
    #[error("{origin}: not a tokenizer ({reason}); give a Hugging Face `tokenizer.json`")]
    TokenizerFormat {
        /// The file, or what else the JSON was read from.
        origin: String,
        /// What the reader said.
        reason: String,
    },

    /// A tokenizer has no token that ends a document.
    #[error("{origin}: no end-of-text token, looked for {}; add one of them to the vocabulary", looked_for.join(", "))]
    NoEndOfText {
        /// The file, or what else the JSON was read from.
        origin: String,
        /// The tokens that would have done.
        looked_for: &'static [&'static str],
    },

    /// The tokenizer refused a text.
    #[error(
        "{document}: the tokenizer cannot encode it ({reason}); check the tokenizer's model and its unknown token"
    )]
    Encode {
        /// Name of the document, or of the documents encoded together.
        document: String,
        /// What the tokenizer said.
        reason: String,
    },

    /// The tokenizer refused to turn tokens back into text.
    #[error(
        "the tokenizer cannot decode {tokens} tokens ({reason}); check the decoder in its file"
    )]
    Decode {
        /// How many tokens were given.
        tokens: usize,
        /// What the tokenizer said.
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

    /// A token that the model has no embedding for.
    #[error(
        "token {position} of the text is {token}, the model knows ids below {vocab_size}; \
         use the tokenizer the model was made for, or a model with a larger vocabulary"
    )]
    TokenOutOfRange {
        /// The token id.
        token: u32,
        /// Its position in the text, counted from 0.
        position: usize,
        /// Size of the model's vocabulary.
        vocab_size: usize,
    },

    /// A packed file is not one, or not what it was any more.
    #[error(transparent)]
    Packed(#[from] PackedError),

    /// A packed file was made with another tokenizer.
    #[error("{}: packed with another tokenizer; give the --tokenizer it was made with, or pack it again", path.display())]
    OtherTokenizer {
        /// The file.
        path: PathBuf,
    },

    /// A packed file holds ids the model does not know.
    #[error(
        "{}: its vocabulary has {found} tokens, the model knows {vocab_size}; use a model with a larger vocabulary",
        path.display()
    )]
    Vocabulary {
        /// The file.
        path: PathBuf,
        /// The vocabulary it was packed with.
        found: u32,
        /// Size of the model's vocabulary.
        vocab_size: usize,
    },

    /// Weights that are not one for each file.
    #[error(
        "weights are {found:?}, expected a number above 0 for each of {files} files with at least one sequence each"
    )]
    Weights {
        /// The weights.
        found: Vec<f64>,
        /// How many files there are.
        files: usize,
    },

    /// Packed files and text were given together.
    #[error("{}: not a .tokens file like the others; give packed files only, or text only", path.display())]
    Mixed {
        /// The first that is not a packed file.
        path: PathBuf,
    },
}
