//! Text, tokens and batches.
//!
//! ```text
//! Corpus --Tokenizer--> Tokens --Windows--> TrainBatches ------\
//! packed file ------------/             \-> ValidationBatches --> TokenLoader --> TokenBatch
//!      ^
//! documents of any form and size --pack
//! ```
//!
//! A [`Corpus`] is text split into training and validation documents: the embedded one, or a user's own files. A
//! [`Tokenizer`] makes one row of token ids of it, [`Windows`] cuts that row into sequences and refuses what no model
//! can train on, and the two kinds of batches say which sequences come when; files may have weights, and processes share
//! them by rank. [`mod@pack`] makes a packed file of what is too large for memory, or is no plain text. A [`TokenLoader`] puts
//! them on a device.

pub mod archive;
mod batches;
mod corpus;
mod cuts;
mod encode;
mod error;
mod files;
mod mixture;
pub mod pack;
pub mod packed;
mod permutation;
mod prepared;
mod stream;
mod tokenizer;
mod tokens;
mod train_batches;
mod validation_batches;
mod windows;
mod words;

pub use batches::{BatchSource, DataFault, TokenBatch, TokenLoader};
pub use corpus::{Corpus, Document};
pub use error::DataError;
pub use permutation::Permutation;
pub use prepared::{Prepared, all_tokens};
pub use stream::StreamDecoder;
pub use tokenizer::Tokenizer;
pub use tokens::Tokens;
pub use train_batches::TrainBatches;
pub use validation_batches::ValidationBatches;
pub use windows::Windows;
