//! Folders as Hugging Face's programs write and read them.
//!
//! ```text
//! folder/
//!   config.json               the model's sizes                                    read and written
//!   model.safetensors         its weights in f32, f16 or bf16                      read and written
//!   model.safetensors.index.json and the shards it names, instead of that file     read
//!   generation_config.json    the tokens that begin and end a text                 read and written
//!   tokenizer.json            the tokenizer                                        read and written
//!   tokenizer_config.json     how it is to be loaded                               written
//!   README.md                 the model card                                       written
//! ```
//!
//! [`Pretrained`] reads one that anybody may have made: sizes, offsets and counts are checked before anything is allocated by
//! them, and everything that is wrong or not supported is named in one error. [`write()`] makes one, in full or not at all.

mod card;
mod error;
mod files;
mod numbers;
mod read;
#[cfg(test)]
mod tests;
mod text_ends;
mod write;

pub use card::{Card, Evaluated};
pub use error::{ExportError, FolderError, Problem};
pub use numbers::FileType;
pub use read::Pretrained;
pub use text_ends::TextEnds;
pub use write::{Export, check_place, write};

/// Name of the file with the sizes of a model.
pub const CONFIG: &str = "config.json";
/// Name of the file with the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// Name of the file that says which weight is in which shard.
pub const INDEX: &str = "model.safetensors.index.json";
/// Name of the file with the tokens that begin and end a text.
pub const GENERATION: &str = "generation_config.json";
/// Name of the tokenizer's file.
pub const TOKENIZER: &str = "tokenizer.json";
/// Name of the file that says how the tokenizer is to be loaded.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Name of the model card.
pub const CARD: &str = "README.md";
