//! The cells of a Parquet column in one row group.

use super::cell::Cell;
use parquet::basic::ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
use parquet::basic::LogicalType;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::RowGroupReader;
use parquet::schema::types::ColumnDescriptor;

/// Rows per read.
const BATCH: usize = 1024;

/// The cells of a column in a row group.
///
/// # Errors
///
/// The pages are damaged, or have another number of rows than the footer.
pub(super) fn read(group: &dyn RowGroupReader, column: usize) -> Result<Vec<Cell>, ParquetError> {
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
