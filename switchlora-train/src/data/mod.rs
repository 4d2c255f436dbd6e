//! Text, tokens and batches.
//!
//! ```text
//! Corpus --Tokenizer--> Tokens --Windows--> TrainBatches ------\
//! packed file ------------/             \-> ValidationBatches --> TokenLoader --> TokenBatch
//!      ^
//! text, JSON or Parquet, of any size --read (`read/`)--pack
//! ```
//!
//! A [`Corpus`] splits text into training and validation documents: the embedded text, or a user's files. A
//! [`Tokenizer`] encodes it as token ids. [`Windows`] cuts the ids into sequences of one length and refuses ids that
//! the model has no embedding for. [`TrainBatches`] and [`ValidationBatches`] define the order of the sequences;
//! training batches can weight files and divide the sequences among processes. [`mod@pack`] encodes text that is too
//! large for memory, or not plain text, into a packed file. A [`TokenLoader`] puts batches on a device.

mod alone;
pub mod archive;
mod batches;
mod corpus;
mod cuts;
mod document;
mod encode;
mod error;
mod examples;
mod files;
mod mixture;
pub mod pack;
pub mod packed;
mod permutation;
mod prepared;
mod read;
mod stream;
pub(crate) mod tokenizer;
mod tokens;
mod train_batches;
mod validation_batches;
mod windows;
mod words;

pub use alone::each_document;
pub use batches::{DataFault, HostBatch, HostTargets, Targets, TokenBatch, TokenLoader};
pub use corpus::Corpus;
pub use document::Document;
pub use error::DataError;
pub use examples::{Examples, Row, Target};
pub use permutation::Permutation;
pub use prepared::{Prepared, all_tokens};
pub use read::{Compression, Form, Input, inputs};
pub use stream::StreamDecoder;
pub use tokenizer::{Beside, Tokenizer, TokenizerRecord};
pub use tokens::Tokens;
pub(crate) use tokens::check_ids;
pub use train_batches::TrainBatches;
pub use validation_batches::ValidationBatches;
pub use windows::Windows;
