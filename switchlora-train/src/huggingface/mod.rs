//! Reads and writes model folders in the format of Hugging Face's `transformers`.
//!
//! ```text
//! folder/
//!   config.json               the model configuration                              read and written
//!   model.safetensors         its weights in f32, f16 or bf16                      read and written
//!   model.safetensors.index.json and the shards it names, in place of that file    read
//!   generation_config.json    begin-of-text and end-of-text tokens                 read and written
//!   tokenizer.json            the tokenizer                                        read and written
//!   tokenizer_config.json     special tokens and chat template of the tokenizer    read and written
//!   special_tokens_map.json, added_tokens.json, chat_template.jinja or .json       read and written, if a folder has them
//!   README.md                 the model card                                       written
//! ```
//!
//! [`Pretrained`] reads a folder from any source: it checks sizes, offsets and counts before it allocates memory for
//! them, and reports everything that is wrong or unsupported in one error. [`write()`] writes a folder completely or
//! not at all. The small files that a training's folder had beside its tokenizer are written as they were.

mod card;
mod error;
mod files;
mod numbers;
mod read;
#[cfg(test)]
mod tests;
mod text_ends;
mod write;

pub use card::Card;
pub use error::{ExportError, FolderError, Problem};
pub use numbers::FileType;
pub use read::Pretrained;
pub use text_ends::TextEnds;
pub use write::{Export, check_place, write};

use crate::data::tokenizer;

/// File name of the model configuration.
pub const CONFIG: &str = tokenizer::CONFIG;
/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the index, which maps each weight to a shard.
pub const INDEX: &str = "model.safetensors.index.json";
/// File name of the begin-of-text and end-of-text tokens.
pub const GENERATION: &str = tokenizer::GENERATION;
/// File name of the tokenizer.
pub const TOKENIZER: &str = tokenizer::TOKENIZER;
/// File name of the settings to load the tokenizer with.
pub const TOKENIZER_CONFIG: &str = tokenizer::TOKENIZER_CONFIG;
/// File name of the model card.
pub const CARD: &str = "README.md";
