//! Labelled files of the user's own: TSV, CSV, JSON lines or Parquet with named columns.

use super::TaskError;
use super::example::{Example, Label};
use super::place::Place;
use super::table::{Cell, Spot, rows, some_object_has};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A task of the user's own: which columns hold the texts and the label.
///
/// The end of a file's name gives its form: `.tsv` (with a header, quotation marks are plain text), `.csv` (with a
/// header, quoted as RFC 4180 says), `.jsonl`, `.ndjson` or `.json` (one object a line), or `.parquet`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomTask {
    /// The column of the first text.
    pub first: String,
    /// The column of the second text, for tasks of pairs.
    #[serde(default)]
    pub second: Option<String>,
    /// The column of the label.
    pub label: String,
    /// What labels are.
    #[serde(default)]
    pub kind: LabelKind,
}

/// What the labels of a [`CustomTask`] are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// Names, integers or booleans, each of which is a class.
    #[default]
    Classes,
    /// Numbers, for regression.
    Values,
}

/// A row of a file of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawExample {
    /// The first text. It may be empty.
    pub first: String,
    /// The second text, for tasks of pairs.
    pub second: Option<String>,
    /// The text of the label, without white space around it. Never empty.
    pub label: String,
    /// The line or row.
    pub place: Place,
}

impl CustomTask {
    /// Reads all rows of a file. [`Labels::learn`](super::Labels::learn) and
    /// [`Labels::examples`](super::Labels::examples) make examples of them.
    ///
    /// # Errors
    ///
    /// A [`TaskError`] if the file is missing, damaged, of no known form or without rows, if it lacks a column, or at
    /// the first row without a text or a label.
    pub fn read(&self, path: &Path) -> Result<Vec<RawExample>, TaskError> {
        let mut wanted = vec![&*self.first, &*self.label];
        wanted.extend(self.second.as_deref());
        let example = |row: super::table::Row| {
            let place = row.place;
            let spot = |column| Spot {
                path,
                place,
                column,
            };
            let mut cells = row.cells.into_iter();
            let mut next = || cells.next().unwrap_or(Cell::Other("missing"));
            Ok(RawExample {
                first: next().into_text(&spot(&self.first))?,
                label: next().into_label(&spot(&self.label))?,
                second: match &self.second {
                    Some(column) => Some(next().into_text(&spot(column))?),
                    None => None,
                },
                place,
            })
        };
        rows(path, &wanted)?.into_iter().map(example).collect()
    }

    /// Reads the texts of a file without labels.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but that no label is looked for.
    pub fn read_unlabelled(&self, path: &Path) -> Result<Vec<Example>, TaskError> {
        let columns = [Some(&*self.first), self.second.as_deref()];
        let wanted: Vec<&str> = columns.into_iter().flatten().collect();
        let example = |row: super::table::Row| {
            let place = row.place;
            let mut texts = wanted.iter().zip(row.cells).map(|(column, cell)| {
                let spot = Spot {
                    path,
                    place,
                    column,
                };
                cell.into_text(&spot)
            });
            Ok(Example {
                first: texts.next().transpose()?.unwrap_or_default(),
                second: texts.next().transpose()?,
                label: Label::Unknown,
            })
        };
        rows(path, &wanted)?.into_iter().map(example).collect()
    }

    /// Whether `error` is that no row of a file has a label.
    pub fn lacks_labels(&self, error: &TaskError) -> bool {
        match error {
            TaskError::MissingColumn { path, column, .. } => {
                *column == self.label && !some_object_has(path, column)
            }
            _ => false,
        }
    }
}
