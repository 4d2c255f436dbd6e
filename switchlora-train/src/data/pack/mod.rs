//! Packs documents of any form and size into token files: on all cores, in bounded memory, resumable after a kill.
//!
//! ```text
//! files, folders, globs --inputs--> each file --Text | Json | Rows (data/read)--> documents in parts
//!   --> rounds of 4 MiB --all cores--> ids --> PackedWriter of the training or validation file
//! ```
//!
//! A long document is cut at places that do not change its ids (`cuts.rs`), and the end-of-text token follows its last
//! part. The output depends only on the inputs, their order and the options.

mod cache;
mod entry;
mod parts;
mod progress;
mod rounds;
mod side;
#[cfg(test)]
mod tests;
mod work;

pub use super::read::{Compression, Form, Input, Malformed, OnMalformed, inputs};
pub use cache::{Cached, cached};
pub use side::{Side, Validation};
pub use work::{Packed, Packing, Seen, pack};

/// Default field or column of a document's text, as in C4 and most other datasets.
pub const FIELD: &str = "text";
