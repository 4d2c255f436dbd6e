//! The value of a column in a row.

use super::super::TaskError;
use super::super::place::Place;
use std::path::Path;

/// A value, as far as texts and labels need it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::tasks) enum Cell {
    /// A text.
    Text(String),
    /// The text of a number or a boolean.
    Scalar(String),
    /// Something else, in words.
    Other(&'static str),
}

/// The wanted cells of a row.
#[derive(Debug)]
pub(in crate::tasks) struct Row {
    /// The line or row of the file.
    pub place: Place,
    /// A cell for each wanted column.
    pub cells: Vec<Cell>,
}

/// Where a cell is, for a message.
pub(in crate::tasks) struct Spot<'a> {
    /// The file.
    pub path: &'a Path,
    /// The row.
    pub place: Place,
    /// The column.
    pub column: &'a str,
}

impl Cell {
    /// The text. It may be empty.
    ///
    /// # Errors
    ///
    /// [`TaskError::Value`] if the cell is not a text.
    pub fn into_text(self, spot: &Spot) -> Result<String, TaskError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Scalar(value) => Err(spot.value(value, "a text")),
            Self::Other(kind) => Err(spot.value(kind, "a text")),
        }
    }

    /// The text of a label, without white space around it.
    ///
    /// # Errors
    ///
    /// [`TaskError::Value`] if the cell is empty, or is not a text, a number or a boolean.
    pub fn into_label(self, spot: &Spot) -> Result<String, TaskError> {
        match self {
            Self::Text(text) | Self::Scalar(text) => match text.trim() {
                "" => Err(spot.value("empty", "a label")),
                label => Ok(label.to_owned()),
            },
            Self::Other(kind) => Err(spot.value(kind, "a label")),
        }
    }
}

impl Spot<'_> {
    /// The error of a value of the wrong kind.
    pub fn value(&self, found: impl Into<String>, expected: &'static str) -> TaskError {
        TaskError::Value {
            path: self.path.to_path_buf(),
            place: self.place,
            column: self.column.to_owned(),
            found: found.into(),
            expected,
        }
    }
}
