//! Parquet files, written here.

use super::super::{CustomTask, Label, LabelKind, Labels, TaskError};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

/// Writes two row groups of two rows each: texts `a`, `b` and the columns `label`.
fn write(path: &Path, label: &str) {
    let schema = format!("message m {{ REQUIRED BYTE_ARRAY text (UTF8); {label} }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    for group in 0..2 {
        let (mut rows, mut columns) = (writer.next_row_group().unwrap(), 0);
        while let Some(mut column) = rows.next_column().unwrap() {
            let is_optional = columns > 0 && label.contains("OPTIONAL");
            columns += 1;
            // In optional columns the last row of the file is null.
            let there = [1, i16::from(group == 0)];
            let count = if !is_optional || group == 0 { 2 } else { 1 };
            let there = is_optional.then_some(&there[..]);
            macro_rules! values {
                ($writer:expr, $values:expr) => {
                    $writer.write_batch(&$values[..count], there, None).unwrap()
                };
            }
            match column.untyped() {
                ColumnWriter::BoolColumnWriter(writer) => values!(writer, [true, false]),
                ColumnWriter::Int32ColumnWriter(writer) => values!(writer, [-1, 1]),
                ColumnWriter::Int64ColumnWriter(writer) => values!(writer, [10_i64, 9]),
                ColumnWriter::FloatColumnWriter(writer) => values!(writer, [0.1_f32, 2.0]),
                ColumnWriter::DoubleColumnWriter(writer) => values!(writer, [1.0, 2.0]),
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    values!(writer, ["a", "b"].map(ByteArray::from))
                }
                _ => unreachable!("no other columns"),
            };
            column.close().unwrap();
        }
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

fn learn(path: &Path, kind: LabelKind) -> Result<(Labels, Vec<Label>), TaskError> {
    let (first, label) = ("text".to_owned(), "label".to_owned());
    let task = CustomTask {
        first,
        second: None,
        label,
        kind,
    };
    let rows = task.read(path)?;
    assert!(rows.iter().map(|row| &*row.first).eq(["a", "b", "a", "b"]));
    let labels = Labels::learn(&task, path, &rows)?;
    let examples = labels.examples(&task, path, rows)?;
    Ok((
        labels,
        examples.into_iter().map(|example| example.label).collect(),
    ))
}

#[test]
fn labels_of_every_type_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for (column, names) in [
        ("REQUIRED BOOLEAN label;", ["false", "true"]),
        ("REQUIRED INT32 label;", ["-1", "1"]),
        ("REQUIRED INT32 label (UINT_32);", ["1", "4294967295"]),
        ("REQUIRED INT64 other; REQUIRED INT64 label;", ["9", "10"]),
        ("REQUIRED DOUBLE label;", ["1", "2"]),
        ("REQUIRED BYTE_ARRAY label (UTF8);", ["a", "b"]),
        ("REQUIRED BYTE_ARRAY label;", ["a", "b"]),
    ] {
        write(&path, column);
        let (labels, found) = learn(&path, LabelKind::Classes).unwrap();
        assert_eq!(
            labels,
            Labels::Classes(names.map(str::to_owned).to_vec()),
            "{column}"
        );
        assert!(found[0] == found[2] && found[1] == found[3] && found[0] != found[1]);
    }
    write(&path, "REQUIRED FLOAT label;");
    let (_, found) = learn(&path, LabelKind::Values).unwrap();
    assert_eq!(found, [0.1, 2.0, 0.1, 2.0].map(Label::Value));
}

#[test]
fn a_fault_has_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for (column, part) in [
        (
            "OPTIONAL INT64 label;",
            "row 4: column \"label\" is null, expected a label",
        ),
        (
            "REQUIRED FLOAT label;",
            "row 1: label \"0.1\" of column \"label\" is a number with a fraction",
        ),
        (
            "REQUIRED INT64 class;",
            "the schema: no column \"label\" (the columns are: text, class)",
        ),
        (
            "REQUIRED INT32 label (DATE);",
            "column \"label\" holds no strings, booleans, whole numbers or floats of 32 or 64 bits",
        ),
        (
            "OPTIONAL GROUP label { REQUIRED INT32 label; }",
            "column \"label\" holds no strings",
        ),
        ("REPEATED INT32 label;", "column \"label\" holds no strings"),
    ] {
        if column.starts_with("REPEATED") || column.contains("GROUP") {
            let schema = format!("message m {{ REQUIRED BYTE_ARRAY text (UTF8); {column} }}");
            let schema = Arc::new(parse_message_type(&schema).unwrap());
            let file = File::create(&path).unwrap();
            SerializedFileWriter::new(file, schema, Arc::default())
                .unwrap()
                .close()
                .unwrap();
        } else {
            write(&path, column);
        }
        let error = learn(&path, LabelKind::Classes).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
    let none = "message m { REQUIRED BYTE_ARRAY text (UTF8); REQUIRED INT32 label; }";
    let schema = Arc::new(parse_message_type(none).unwrap());
    let file = File::create(&path).unwrap();
    SerializedFileWriter::new(file, schema, Arc::default())
        .unwrap()
        .close()
        .unwrap();
    let error = learn(&path, LabelKind::Classes).unwrap_err().to_string();
    assert!(error.contains("no rows in the file"), "{error}");
}

#[test]
fn a_file_with_any_byte_changed_gives_rows_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, "OPTIONAL BYTE_ARRAY label (UTF8);");
    let whole = fs::read(&path).unwrap();
    let (first, label) = ("text".to_owned(), "label".to_owned());
    let kind = LabelKind::Classes;
    let task = CustomTask {
        first,
        second: None,
        label,
        kind,
    };
    for position in 0..whole.len() {
        for change in [1, 0x80] {
            let mut changed = whole.clone();
            changed[position] ^= change;
            fs::write(&path, changed).unwrap();
            if let Err(error) = task.read(&path) {
                let message = error.to_string();
                assert!(!message.contains(char::is_control), "{message:?}");
            }
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, "REQUIRED INT64 label;");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = learn(&path, LabelKind::Classes).unwrap_err().to_string();
        assert!(error.contains("not a Parquet file, or damaged"), "{error}");
    }
}
