//! Reads Parquet files, one column of which holds the documents' texts.

use super::super::DataError;
use super::inputs::Input;
use super::malformed::Malformed;
use super::open::BytesRead;
use crate::at_path::AtPath;
use crate::quietly::panic_message;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The texts of a Parquet file, in order.
pub(super) struct Rows {
    rows: RowIter<'static>,
    path: PathBuf,
    number: u64,
    /// File size over the number of rows, for the progress display.
    bytes_a_row: u64,
    read: BytesRead,
}

impl Rows {
    /// Opens the file and finds the string column `field`.
    ///
    /// # Errors
    ///
    /// [`DataError::PathMissing`] or [`DataError::Unreadable`]; [`DataError::Parquet`] if the file is damaged or lacks
    /// the column.
    pub fn new(input: &Input, field: &str, read: &BytesRead) -> Result<Self, DataError> {
        let path = input.path.clone();
        let wrong = |reason: String| DataError::Parquet(AtPath::new(&path, reason));
        let file = File::open(&path).map_err(|reason| DataError::unreadable(&path, reason))?;
        let opened = guarded(|| SerializedFileReader::new(file)).map_err(wrong)?;
        let metadata = opened.metadata().file_metadata();
        let columns = metadata.schema().get_fields();
        let column = columns.iter().find(|column| column.name() == field);
        let Some(column) = column else {
            let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
            return Err(wrong(format!(
                "it has no column {field:?}, its columns are {}; choose one with --field",
                names.join(", ")
            )));
        };
        let is_text =
            column.is_primitive() && column.get_physical_type() == parquet::basic::Type::BYTE_ARRAY;
        if !is_text {
            return Err(wrong(format!("column {field:?} holds no strings")));
        }
        let rows = u64::try_from(metadata.num_rows()).unwrap_or(0).max(1);
        let one = Type::group_type_builder(metadata.schema().name())
            .with_fields(vec![column.clone()])
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let rows_of = || RowIter::from_file_into(Box::new(opened)).project(Some(one));
        Ok(Self {
            rows: guarded(rows_of).map_err(wrong)?,
            path: input.path.clone(),
            number: 0,
            bytes_a_row: input.bytes / rows,
            read: Arc::clone(read),
        })
    }

    /// Reads the next text. Malformed rows before it are added to `malformed`.
    ///
    /// # Errors
    ///
    /// [`DataError::Parquet`] if the file is damaged, or the errors of [`Malformed::add`].
    pub fn next(&mut self, malformed: &mut Malformed) -> Result<Option<String>, DataError> {
        loop {
            let row = guarded(|| self.rows.next().transpose());
            let row = row.map_err(|reason| {
                let reason = format!("after row {}: {reason}", self.number);
                DataError::Parquet(AtPath::new(&self.path, reason))
            })?;
            let Some(row) = row else { return Ok(None) };
            self.number += 1;
            self.read.fetch_add(self.bytes_a_row, Ordering::Relaxed);
            match text_of(row) {
                Ok(text) => return Ok(Some(text)),
                Err(reason) => {
                    let number = self.number;
                    malformed.add(&self.path, || format!("row {number}"), || reason.to_owned())?;
                }
            }
        }
    }
}

fn text_of(row: Row) -> Result<String, &'static str> {
    match row.into_columns().into_iter().next() {
        Some((_, Field::Str(text))) => Ok(text),
        Some((_, Field::Bytes(bytes))) => {
            String::from_utf8(bytes.data().to_vec()).map_err(|_| "not UTF-8")
        }
        Some((_, Field::Null)) | None => Err("no text"),
        Some(_) => Err("not a string"),
    }
}

/// Turns a panic of the `parquet` crate into an error: it panics on some damaged files.
fn guarded<T>(
    work: impl FnOnce() -> Result<T, parquet::errors::ParquetError>,
) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(reason) => Err(format!("not readable ({})", panic_message(&*reason))),
    }
}
