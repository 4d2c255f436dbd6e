//! Rows of a file with named columns, whatever its form.

mod cell;
mod column_chunk;
mod columns;
mod csv;
mod json;
mod parquet;
pub(super) mod tsv;

pub(super) use cell::{Cell, Row, Spot};
pub(super) use json::rows as json_rows;

use super::TaskError;
use super::file::read_text;
use std::path::Path;

/// Whether a file is one of JSON lines, of which each object has fields of its own, and one of them has this one.
pub(super) fn some_object_has(path: &Path, field: &str) -> bool {
    is_json(path) && read_text(path).is_ok_and(|text| json::some_object_has(&text, field))
}

fn is_json(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    ["jsonl", "ndjson", "json"].contains(&&*extension.to_ascii_lowercase())
}

/// The cells of the columns `wanted`, in this order, of each row. The end of the file's name gives its form.
///
/// # Errors
///
/// Every [`TaskError`] of a file: it is missing, damaged, of no known form, has no rows, or lacks a column.
pub(super) fn rows(path: &Path, wanted: &[&str]) -> Result<Vec<Row>, TaskError> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let rows = match &*extension.to_ascii_lowercase() {
        "tsv" => tsv::rows(path, &read_text(path)?, None, wanted, tsv::Short::Refused)?,
        "csv" => csv::rows(path, &read_text(path)?, wanted)?,
        _ if is_json(path) => json::rows(path, &read_text(path)?, wanted)?,
        "parquet" => parquet::rows(path, wanted)?,
        _ => {
            let path = path.to_path_buf();
            return Err(TaskError::UnknownForm { path });
        }
    };
    match rows.is_empty() {
        true => Err(TaskError::no_rows(path, "no rows in the file")),
        false => Ok(rows),
    }
}
