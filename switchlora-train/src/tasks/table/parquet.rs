//! Parquet: columns of strings, integers, floating-point numbers and booleans.

use super::super::TaskError;
use super::super::brief::{brief, quoted};
use super::super::panics::caught;
use super::super::place::Place;
use super::cell::{Cell, Row};
use super::columns::find;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use std::fs::File;
use std::path::Path;

/// Rows per read.
const BATCH: usize = 1024;

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
    let file = File::open(path).map_err(|reason| TaskError::unreadable(path, reason))?;
    if file.metadata().is_ok_and(|file| file.is_dir()) {
        return Err(wrong("it is a folder; give a file".to_owned()));
    }
    let file = caught(|| SerializedFileReader::new(file)).map_err(damaged)?;
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
                let group = file.get_row_group(group)?;
                read(&*group, leaf)
            });
            cells.extend(more.map_err(damaged)?);
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
        format!("column {name} holds no strings, numbers or booleans; choose another column")
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

/// The cells of a column in a row group.
fn read(group: &dyn RowGroupReader, column: usize) -> Result<Vec<Cell>, ParquetError> {
    let rows = group.metadata().num_rows();
    let descriptor = group.metadata().column(column).column_descr();
    let (defined, unsigned) = (descriptor.max_def_level(), is_unsigned(descriptor));
    let scalar = |value: &dyn ToString| Cell::Scalar(value.to_string());
    let int = |value: i32| match unsigned {
        true => scalar(&value.cast_unsigned()),
        false => scalar(&value),
    };
    let long = |value: i64| match unsigned {
        true => scalar(&value.cast_unsigned()),
        false => scalar(&value),
    };
    let float = |value: f64, text: &dyn ToString| match value.is_finite() {
        true => scalar(text),
        false => Cell::Other("NaN or infinite"),
    };
    match group.get_column_reader(column)? {
        ColumnReader::BoolColumnReader(mut reader) => {
            cells(&mut reader, defined, rows, |value| scalar(&value))
        }
        ColumnReader::Int32ColumnReader(mut reader) => cells(&mut reader, defined, rows, int),
        ColumnReader::Int64ColumnReader(mut reader) => cells(&mut reader, defined, rows, long),
        ColumnReader::FloatColumnReader(mut reader) => cells(&mut reader, defined, rows, |value| {
            float(value.into(), &value)
        }),
        ColumnReader::DoubleColumnReader(mut reader) => {
            cells(&mut reader, defined, rows, |value| float(value, &value))
        }
        ColumnReader::ByteArrayColumnReader(mut reader) => cells(&mut reader, defined, rows, text),
        _ => Err(ParquetError::General(
            "a column has another type in its row groups".to_owned(),
        )),
    }
}

fn is_unsigned(column: &ColumnDescriptor) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    match column.logical_type_ref() {
        Some(LogicalType::Integer(kind)) => !kind.is_signed,
        _ => matches!(
            column.converted_type(),
            UINT_8 | UINT_16 | UINT_32 | UINT_64
        ),
    }
}

fn text(value: ByteArray) -> Cell {
    match std::str::from_utf8(value.data()) {
        Ok(text) => Cell::Text(text.to_owned()),
        Err(_) => Cell::Other("not UTF-8"),
    }
}

/// Reads `rows` values with `cell`. `defined` is the definition level of a value that is not null.
fn cells<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    defined: i16,
    rows: i64,
    cell: impl Fn(T::T) -> Cell,
) -> Result<Vec<Cell>, ParquetError> {
    let mut cells = Vec::new();
    loop {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (read, ..) = reader.read_records(BATCH, Some(&mut levels), None, &mut values)?;
        let mut values = values.into_iter();
        for row in 0..read {
            let is_there = defined == 0 || levels.get(row) == Some(&defined);
            let value = if is_there { values.next() } else { None };
            cells.push(value.map_or(Cell::Other("null"), &cell));
        }
        if read == 0 || cells.len() as i64 > rows {
            break;
        }
    }
    match cells.len() as i64 == rows {
        true => Ok(cells),
        false => Err(ParquetError::General(format!(
            "{} rows in the pages of a row group, {rows} in the footer",
            cells.len()
        ))),
    }
}
