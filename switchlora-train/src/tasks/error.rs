//! Errors of fine-tuning data.

use super::brief::{brief, list, quoted};
use super::glue::GlueError;
use super::place::Place;
use crate::advice::advice;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why fine-tuning data could not be read, or predictions not be written. Each message is one line: the place, the
/// fault, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A given path does not exist.
    #[error("{}: no such file or folder; check the path", path.display())]
    PathMissing {
        /// The path as it was given.
        path: PathBuf,
    },

    /// The system refused to read a file.
    #[error("{}: cannot be read ({reason}); {}", path.display(), advice(reason))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: io::Error,
    },

    /// The system refused to write a file or folder.
    #[error("{}: cannot be written ({reason}); {}", path.display(), advice(reason))]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        reason: io::Error,
    },

    /// A file's name does not say how to read it.
    #[error(
        "{}: its name does not say how to read it; let it end in .tsv, .csv, .jsonl or .parquet", path.display()
    )]
    UnknownForm {
        /// The file.
        path: PathBuf,
    },

    /// A text file is not UTF-8.
    #[error("{}: line {line}: not UTF-8; convert the file to UTF-8, or unpack it if it is compressed", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
    },

    /// A line is not a JSON object.
    #[error("{}: line {line}: {}; write one JSON object on each line", path.display(), brief(reason))]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Description of the fault.
        reason: String,
    },

    /// A Parquet file is damaged, or its columns are not of a type that is read.
    #[error("{}: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Description of the fault, and what to do.
        reason: String,
    },

    /// A quotation mark in a CSV file has no counterpart.
    #[error(
        "{}: line {line}: the row has a quotation mark that is never closed; write a quotation mark within a quoted \
         text twice, or save the file as .tsv, where quotation marks are plain text",
        path.display()
    )]
    UnclosedQuote {
        /// The file.
        path: PathBuf,
        /// The line where the row begins, counted from 1.
        line: u64,
    },

    /// A row has fewer or more columns than the header.
    #[error("{}: {place}: the number of columns is {found}, expected {expected}; correct the row", path.display())]
    ColumnCount {
        /// The file.
        path: PathBuf,
        /// The row.
        place: Place,
        /// Number of columns in the row.
        found: usize,
        /// Number of columns in the header.
        expected: usize,
    },

    /// A header, schema or JSON object lacks a column.
    #[error(
        "{}: {place}: no column {} (the columns are: {}); correct the name of the column, or the file",
        path.display(), quoted(column), list(columns)
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The header, the schema or the line of the object.
        place: Place,
        /// The column that was looked for.
        column: String,
        /// The columns that are there.
        columns: Vec<String>,
    },

    /// A header has several columns of the name that was looked for.
    #[error("{}: {place}: several columns are named {}; give each its own name", path.display(), quoted(column))]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The header or the schema.
        place: Place,
        /// The name.
        column: String,
    },

    /// A value is of the wrong kind: null, a number for a text, a word for a number.
    #[error(
        "{}: {place}: column {} is {found}, expected {expected}; correct it, or choose another column",
        path.display(), quoted(column)
    )]
    Value {
        /// The file.
        path: PathBuf,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The value, in words or in quotation marks.
        found: String,
        /// The kind that was expected.
        expected: &'static str,
    },

    /// A label is none of the known ones.
    #[error(
        "{}: {place}: unknown label {} (known: {}); {advice}",
        path.display(), quoted(found), list(known)
    )]
    UnknownLabel {
        /// The file.
        path: PathBuf,
        /// The row.
        place: Place,
        /// The label.
        found: String,
        /// The known labels.
        known: Vec<String>,
        /// What to do.
        advice: &'static str,
    },

    /// A label is a number with a fraction, but classes were asked for.
    #[error(
        "{}: {place}: label {} of column {} is a number with a fraction, not a class; use --regression to learn numbers, \
         or choose another column",
        path.display(), quoted(found), quoted(column)
    )]
    Fraction {
        /// The file.
        path: PathBuf,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The label.
        found: String,
    },

    /// All rows of the training file have the same label.
    #[error(
        "{}: all rows have the label {}; give examples of at least two labels, or choose another column",
        path.display(), quoted(label)
    )]
    OneLabel {
        /// The file.
        path: PathBuf,
        /// The label.
        label: String,
    },

    /// A file has no rows.
    #[error("{}: {found}; give a file with at least one row", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// Description of what is there.
        found: &'static str,
    },

    /// GLUE has no such task, split or class.
    #[error(transparent)]
    Glue(#[from] GlueError),
}

impl TaskError {
    /// The error of a failed read.
    pub(super) fn unreadable(path: &Path, reason: io::Error) -> Self {
        let path = path.to_path_buf();
        match reason.kind() {
            ErrorKind::NotFound => Self::PathMissing { path },
            _ => Self::Unreadable { path, reason },
        }
    }

    /// The error of a file without rows.
    pub(super) fn no_rows(path: &Path, found: &'static str) -> Self {
        let path = path.to_path_buf();
        Self::NoRows { path, found }
    }
}
