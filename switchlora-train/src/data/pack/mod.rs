//! Documents of any form and size, packed as token files: on every core, in bounded memory, resumable after a kill.
//!
//! ```text
//! files, folders, globs --inputs--> each file --text | lines | rows--> documents in parts
//!   --> rounds of a few MB --every core--> ids --> PackedWriter, of the training or of the validation
//! ```
//!
//! | form | a document is |
//! |---|---|
//! | `.jsonl`, `.ndjson`, `.json` | the text field of each line's object |
//! | `.parquet` | the text column of each row |
//! | any other name | the whole file |
//!
//! All but Parquet, which compresses itself, also as `.gz` or `.zst`. A document is cut where its tokenizer would cut it
//! anyway (`cuts.rs`), so its ids are those of the whole; its last part is followed by the end of text. The
//! output depends on nothing but the inputs, their order, and the options.

mod cache;
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

/// The field, or column, that holds the text of a document unless another is named: that of C4 and of most others.
pub const FIELD: &str = "text";
