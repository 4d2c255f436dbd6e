//! Parquet: columns of strings, integers, floating-point numbers and booleans.

use super::super::TaskError;
use super::super::brief::{brief, quoted};
use super::super::place::Place;
use super::cell::{Cell, Row};
use super::column_chunk::read;
use super::columns::find;
use crate::quietly::caught;
use crate::regular_file;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use std::path::Path;

/// The cells of the columns `wanted` of each row.
///
/// # Errors
///
/// [`TaskError::PathMissing`], [`TaskError::Unreadable`], [`TaskError::Parquet`], [`TaskError::MissingColumn`] or
/// [`TaskError::RepeatedColumn`].
pub(super) fn rows(path: &Path, wanted: &[&str]) -> Result<Vec<Row>, TaskError> {
    let wrong = |reason| TaskError::Parquet {
        path: path.to_path_buf(),
        reason,
    };
    let damaged = |reason: String| {
        wrong(format!(
            "not a Parquet file, or damaged ({}); check its name, or copy it again",
            brief(reason.strip_prefix("Parquet error: ").unwrap_or(&reason))
        ))
    };
    let file = regular_file::open(path).map_err(|reason| TaskError::unreadable(path, reason))?;
    let file = caught(|| SerializedFileReader::new(file).map_err(text));
    let file = file.flatten().map_err(damaged)?;
    let schema = file.metadata().file_metadata().schema_descr();
    let names: Vec<_> = schema
        .root_schema()
        .get_fields()
        .iter()
        .map(|field| field.name())
        .collect();
    find(path, Place::Schema, &names, wanted)?;
    let leaf = |&column: &&str| leaf(schema, column).map_err(wrong);
    let leaves: Vec<usize> = wanted.iter().map(leaf).collect::<Result<_, _>>()?;
    let mut columns = Vec::new();
    for leaf in leaves {
        let mut cells = Vec::new();
        for group in 0..file.num_row_groups() {
            let more = caught(|| {
                let group = file.get_row_group(group).map_err(text)?;
                read(&*group, leaf).map_err(text)
            });
            cells.extend(more.flatten().map_err(damaged)?);
        }
        columns.push(cells.into_iter());
    }
    let mut rows = Vec::new();
    loop {
        let cells: Option<Vec<Cell>> = columns.iter_mut().map(Iterator::next).collect();
        match cells {
            Some(cells) if !cells.is_empty() => {
                let place = Place::Row(rows.len() as u64 + 1);
                rows.push(Row { place, cells });
            }
            _ => return Ok(rows),
        }
    }
}

/// The index of the column of values of this name.
///
/// # Errors
///
/// That its type is not read, in words.
fn leaf(schema: &SchemaDescriptor, name: &str) -> Result<usize, String> {
    let columns = schema.columns();
    let index = columns
        .iter()
        .position(|column| matches!(column.path().parts(), [only] if only == name));
    let index =
        index.filter(|&index| columns[index].max_rep_level() == 0 && is_read(&columns[index]));
    index.ok_or_else(|| {
        let name = quoted(name);
        format!("column {name} holds no strings, booleans, whole numbers or floats of 32 or 64 bits; convert it, or choose another column")
    })
}

/// Whether the type of a column is read: not dates, times, decimals and raw bytes.
fn is_read(column: &ColumnDescriptor) -> bool {
    use ConvertedType as Old;
    let (logical, old) = (column.logical_type_ref(), column.converted_type());
    match column.physical_type() {
        Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE => true,
        Physical::INT32 | Physical::INT64 => match logical {
            Some(kind) => matches!(kind, LogicalType::Integer { .. }),
            None => !matches!(
                old,
                Old::DATE
                    | Old::DECIMAL
                    | Old::TIME_MILLIS
                    | Old::TIME_MICROS
                    | Old::TIMESTAMP_MILLIS
                    | Old::TIMESTAMP_MICROS
            ),
        },
        Physical::BYTE_ARRAY => match logical {
            Some(kind) => matches!(
                kind,
                LogicalType::String | LogicalType::Json | LogicalType::Enum
            ),
            None => matches!(old, Old::UTF8 | Old::JSON | Old::ENUM | Old::NONE),
        },
        Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => false,
    }
}

/// The message of an error.
fn text(error: impl ToString) -> String {
    error.to_string()
}
