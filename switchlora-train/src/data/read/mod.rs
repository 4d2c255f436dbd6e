//! Reads documents from files: text, JSON and Parquet, plain or compressed.
//!
//! ```text
//! files, folders, patterns --inputs--> Input --open (content, gzip, Zstandard)--> Text | Json
//!                                            \---------------------------------> Rows
//! ```
//!
//! | name | a document is |
//! |---|---|
//! | `.jsonl`, `.ndjson`, `.jsonlines`, `.json` | the text field of an object: one on each line, several on a line, one over several lines, or in one array, whose elements may also be strings |
//! | `.parquet` | the text column of a row |
//! | `.csv`, `.tsv` | refused |
//! | any other name | the whole file |
//!
//! Text and JSON may be compressed (`.gz`, `.gzip`, `.zst`, `.zstd`). What Python's `gzip`, `zstd`, `json` and `pyarrow`
//! read is read with the same documents, or refused with the file, the place and the reason
//! (`switchlora-train/tests/odd_files.rs`). A line or row without text is [`Malformed`] and may be skipped; a file that is
//! damaged, or is not what its name says, is always an error.

mod brief;
mod content;
mod fields;
mod gzip;
mod held;
mod inputs;
mod json;
mod malformed;
mod not_finite;
mod open;
mod panics;
mod rows;
mod tally;
mod text;
mod values;
mod zstandard;

use super::DataError;
use crate::say::warn;
pub(super) use inputs::companions;
pub use inputs::{Compression, Form, Input, inputs};
pub(super) use json::Json;
pub use malformed::{Malformed, OnMalformed};
pub(super) use open::{BytesRead, open};
pub(super) use rows::Rows;
use serde_json::{Map, Value};
use std::io::BufRead;
use std::path::PathBuf;
pub(super) use text::{Text, not_text};

/// Checks that each file can be read and is what its name says, by its first bytes; of a Parquet file, the column too. So
/// nothing is read for hours before the last file is found to be unfit.
///
/// # Errors
///
/// The errors of opening a file.
pub(super) fn check(inputs: &[Input], field: &str) -> Result<(), DataError> {
    let read = BytesRead::default();
    let mut unlike = Vec::new();
    for input in inputs {
        match input.form {
            Form::Parquet => drop(Rows::new(input, field, &read)?),
            Form::Text => {
                let mut file = open(input, &read)?;
                if file.fill_buf().is_ok_and(looks_like_json_lines) {
                    unlike.push(input.path.clone());
                }
            }
            Form::Json | Form::Table => drop(open(input, &read)?),
        }
    }
    warn_of_json_lines(&unlike);
    Ok(())
}

/// Whether a text that begins with `start` has a JSON object in its first line.
pub(super) fn looks_like_json_lines(start: &[u8]) -> bool {
    let line = start.split(|&byte| byte == b'\n').next();
    line.is_some_and(|line| serde_json::from_slice::<Map<String, Value>>(line).is_ok())
}

/// Warns of files of text that [look like](looks_like_json_lines) something else.
pub(super) fn warn_of_json_lines(files: &[PathBuf]) {
    let [first, others @ ..] = files else {
        return;
    };
    let more = match others.len() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    warn(format!(
        "{}{more}: read as text, though it begins with a JSON object; let its name end in .jsonl to read a document a line",
        first.display()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_whose_first_line_is_an_object_looks_like_json_lines() {
        for (start, is_one) in [
            ("{\"text\": \"a\"}\n{", true),
            ("{\"text\": \"a\"}", true),
            ("{curly} braces\n", false),
            ("[1]\n", false),
            ("\"a\"\n", false),
            ("", false),
        ] {
            assert_eq!(looks_like_json_lines(start.as_bytes()), is_one, "{start}");
        }
    }
}
