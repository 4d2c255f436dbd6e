//! Packs documents of any form and size into token files: on all cores, in bounded memory, resumable after a kill.
//!
//! ```text
//! files, folders, globs --inputs--> each file --text | lines | rows--> documents in parts
//!   --> rounds of 4 MiB --all cores--> ids --> PackedWriter of the training or validation file
//! ```
//!
//! | form | a document is |
//! |---|---|
//! | `.jsonl`, `.ndjson`, `.json` | the text field of each line's object |
//! | `.parquet` | the text column of each row |
//! | any other name | the whole file |
//!
//! Text and JSON lines may also be compressed (`.gz`, `.zst`); Parquet compresses itself. A long document is cut at
//! places that do not change its ids (`cuts.rs`), and the end-of-text token follows its last part. The output depends
//! only on the inputs, their order and the options.

mod cache;
mod entry;
mod inputs;
mod lines;
mod malformed;
mod open;
mod parts;
mod progress;
mod rounds;
mod rows;
mod side;
#[cfg(test)]
mod tests;
mod text;
mod work;

pub use cache::{Cached, cached};
pub use inputs::{Form, Input, inputs};
pub use malformed::{Malformed, OnMalformed};
pub use side::{Side, Validation};
pub use work::{Packed, Packing, Seen, pack};

/// Default field or column of a document's text, as in C4 and most other datasets.
pub const FIELD: &str = "text";
