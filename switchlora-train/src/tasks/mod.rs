//! Reads fine-tuning data: the tasks of GLUE, labelled files of the user's own, and pairs of prompt and answer.
//!
//! | data | type | result |
//! |---|---|---|
//! | a GLUE task, in GLUE's own files | [`GlueTask`] | [`Example`]s |
//! | TSV, CSV, JSON lines, Parquet | [`CustomTask`] | [`RawExample`]s, then [`Labels`] and [`Example`]s |
//! | JSON lines with a prompt and an answer | [`read_pairs`] | [`Dialogue`]s |
//!
//! A whole file is read into memory. Every fault is a [`TaskError`] with the file and the line or row.

mod brief;
mod chat;
mod custom;
mod dialogue;
mod error;
mod example;
mod file;
mod glue;
mod labels;
mod place;
mod table;
#[cfg(test)]
mod tests;

pub use chat::{ChatError, ChatTemplate, Message};
pub use custom::{CustomTask, LabelKind, RawExample};
pub use dialogue::{Dialogue, read_pairs};
pub use error::TaskError;
pub use example::{Example, Label};
pub use glue::{GlueError, GlueSplit, GlueTask, UnknownName};
pub use labels::Labels;
pub use place::Place;
