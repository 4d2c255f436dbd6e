//! Reads Parquet files, one column of which holds the documents' texts.

use super::super::DataError;
use super::brief::list;
use super::inputs::Input;
use super::malformed::Malformed;
use super::open::{BytesRead, check_parquet};
use super::panics::caught;
use crate::at_path::AtPath;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Rows per read.
const BATCH: usize = 64;

/// The texts of a Parquet file, in order.
pub(in crate::data) struct Rows {
    file: SerializedFileReader<File>,
    path: PathBuf,
    /// Index of the column among the columns of values.
    column: usize,
    /// Definition level of a value that is not null.
    defined: i16,
    /// The row group that is read next, and the column of the current one.
    group: usize,
    values: Option<Values>,
    /// Values that were read and not returned yet; `None` is null.
    waiting: VecDeque<Option<ByteArray>>,
    /// Rows before the next value.
    number: u64,
    /// File size over the number of rows, for the progress display.
    bytes_a_row: u64,
    read: BytesRead,
}

/// The column in a row group, and the rows of it that are still to be read.
struct Values {
    reader: ColumnReaderImpl<ByteArrayType>,
    rows: u64,
}

impl Rows {
    /// Opens the file and finds the string column `field`.
    ///
    /// # Errors
    ///
    /// [`DataError::PathMissing`] or [`DataError::Unreadable`]; [`DataError::Content`] or [`DataError::Parquet`] if the
    /// file is not Parquet, is damaged, or lacks the column.
    pub fn new(input: &Input, field: &str, read: &BytesRead) -> Result<Self, DataError> {
        let path = input.path.clone();
        let wrong = |reason: String| DataError::Parquet(AtPath::new(&path, reason));
        check_parquet(&path, input.compression)?;
        let file = File::open(&path).map_err(|reason| DataError::unreadable(&path, reason))?;
        let file = caught(|| SerializedFileReader::new(file)).map_err(|reason| {
            wrong(format!(
                "a damaged Parquet file ({reason}); copy or download it again"
            ))
        })?;
        let metadata = file.metadata().file_metadata();
        let column = column(metadata.schema_descr(), field).map_err(wrong)?;
        let defined = metadata.schema_descr().column(column).max_def_level();
        let rows = u64::try_from(metadata.num_rows()).unwrap_or(0).max(1);
        Ok(Self {
            column,
            defined,
            path: input.path.clone(),
            group: 0,
            values: None,
            waiting: VecDeque::new(),
            number: 0,
            bytes_a_row: input.bytes / rows,
            read: Arc::clone(read),
            file,
        })
    }

    /// Reads the next text. Malformed rows before it are added to `malformed`.
    ///
    /// # Errors
    ///
    /// [`DataError::Parquet`] if the file is damaged, or the errors of [`Malformed::add`].
    pub fn next(&mut self, malformed: &mut Malformed) -> Result<Option<String>, DataError> {
        loop {
            let Some(value) = self.waiting.pop_front() else {
                let more = caught(|| self.more()).map_err(|reason| {
                    let reason = match self.number {
                        0 => format!("its column is damaged or encrypted ({reason}); copy or download it again"),
                        rows => format!("damaged after row {rows} ({reason}); copy or download it again"),
                    };
                    DataError::Parquet(AtPath::new(&self.path, reason))
                })?;
                if more {
                    continue;
                }
                return Ok(None);
            };
            self.number += 1;
            self.read.fetch_add(self.bytes_a_row, Ordering::Relaxed);
            let reason = match value
                .as_ref()
                .map(|value| std::str::from_utf8(value.data()))
            {
                Some(Ok(text)) => return Ok(Some(text.to_owned())),
                Some(Err(error)) => {
                    format!("not UTF-8 from byte {} of the text on", error.valid_up_to())
                }
                None => "the text is null".to_owned(),
            };
            let number = self.number;
            malformed.add(&self.path, || format!("row {number}"), || reason)?;
        }
    }

    /// Reads more values into `waiting`. `false` at the end of the file.
    fn more(&mut self) -> Result<bool, ParquetError> {
        let Some(values) = &mut self.values else {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.group)?;
            let rows = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
            let ColumnReader::ByteArrayColumnReader(reader) =
                group.get_column_reader(self.column)?
            else {
                return Err(ParquetError::General(
                    "the column has another type in its row groups".to_owned(),
                ));
            };
            self.values = Some(Values { reader, rows });
            self.group += 1;
            return Ok(true);
        };
        let (mut levels, mut found) = (Vec::new(), Vec::new());
        let (rows, ..) = values
            .reader
            .read_records(BATCH, Some(&mut levels), None, &mut found)?;
        if rows as u64 > values.rows || rows == 0 && values.rows > 0 {
            let missing = values.rows;
            return Err(ParquetError::General(format!(
                "row group {} has {missing} rows more in its footer than in its pages",
                self.group
            )));
        }
        values.rows -= rows as u64;
        if rows == 0 {
            self.values = None;
        }
        let mut found = found.into_iter();
        let is_there = |row: usize| self.defined == 0 || levels.get(row) == Some(&self.defined);
        let values = (0..rows).map(|row| if is_there(row) { found.next() } else { None });
        self.waiting.extend(values);
        Ok(true)
    }
}

/// The index of the column of strings with this name, or whose path has these names with dots between.
fn column(schema: &SchemaDescriptor, field: &str) -> Result<usize, String> {
    let columns = schema.columns();
    let with = |is_it: &dyn Fn(&ColumnDescriptor) -> bool| -> Vec<usize> {
        (0..columns.len())
            .filter(|&index| is_it(&columns[index]))
            .collect()
    };
    let mut found = with(&|column| matches!(column.path().parts(), [name] if name == field));
    if found.is_empty() {
        found = with(&|column| column.path().parts().join(".") == field);
    }
    let &[index] = &found[..] else {
        return Err(match found.len() {
            0 => no_column(schema, field),
            count => format!("it has {count} columns {field:?}; give each a name of its own"),
        });
    };
    let column = &columns[index];
    if column.max_rep_level() > 0 {
        return Err(format!("column {field:?} holds lists, expected strings"));
    }
    use ConvertedType::{ENUM, JSON, NONE, UTF8};
    let is_text = match column.logical_type_ref() {
        Some(kind) => matches!(
            kind,
            LogicalType::String | LogicalType::Json | LogicalType::Enum
        ),
        None => matches!(column.converted_type(), UTF8 | JSON | ENUM | NONE),
    };
    match column.physical_type() == Physical::BYTE_ARRAY && is_text {
        true => Ok(index),
        false => Err(format!("column {field:?} holds no strings")),
    }
}

/// Why there is no column of this name, and which there are.
fn no_column(schema: &SchemaDescriptor, field: &str) -> String {
    let tops = schema.root_schema().get_fields();
    let inner = tops
        .iter()
        .find(|top| top.name() == field && top.is_group());
    let Some(inner) = inner else {
        if tops.is_empty() {
            return "it has no columns".to_owned();
        }
        let names = list(tops.iter().map(|top| top.name()));
        return format!(
            "it has no column {field:?}, its columns are {names}; choose one with --field"
        );
    };
    let is_list = schema.columns().iter().any(|column| {
        column
            .path()
            .parts()
            .first()
            .is_some_and(|name| name == field)
            && column.max_rep_level() > 0
    });
    match is_list {
        true => format!("column {field:?} holds lists, expected strings"),
        false => {
            let names = list(inner.get_fields().iter().map(|field| field.name()));
            format!("column {field:?} has the fields {names}; choose one with --field {field}.NAME")
        }
    }
}
