//! The labels of a task of the user's own, as its training file has them.

use super::TaskError;
use super::brief::quoted;
use super::custom::{CustomTask, LabelKind, RawExample};
use super::example::{Example, Label};
use super::table::Spot;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// The labels of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// The names of the classes, by class index: in the order of their numbers if all are numbers, else of their texts.
    Classes(Vec<String>),
    /// Numbers, for regression.
    Values,
}

impl Labels {
    /// Finds the labels of `task` in its training file. `path` is the file that `rows` were read from.
    ///
    /// # Errors
    ///
    /// For classes, [`TaskError::Fraction`] if a label is a number with a fraction, [`TaskError::OneLabel`] if all are
    /// the same, or [`TaskError::NoRows`].
    pub fn learn(task: &CustomTask, path: &Path, rows: &[RawExample]) -> Result<Self, TaskError> {
        if task.kind == LabelKind::Values {
            return Ok(Self::Values);
        }
        if let Some(row) = rows.iter().find(|row| has_fraction(&row.label)) {
            return Err(TaskError::Fraction {
                path: path.to_path_buf(),
                place: row.place,
                column: task.label.clone(),
                found: row.label.clone(),
            });
        }
        let names: BTreeSet<&str> = rows.iter().map(|row| whole(&row.label)).collect();
        let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if let Some(mut numbered) = numbered(&names) {
            numbered.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            names = numbered.into_iter().map(|(_, name)| name.clone()).collect();
        }
        match &names[..] {
            [] => Err(TaskError::no_rows(path, "no rows in the file")),
            [label] => Err(TaskError::OneLabel {
                path: path.to_path_buf(),
                label: label.clone(),
            }),
            _ => Ok(Self::Classes(names)),
        }
    }

    /// The examples of rows. `path` is the file that `rows` were read from.
    ///
    /// # Errors
    ///
    /// [`TaskError::UnknownLabel`], or for regression [`TaskError::Value`] if a label is not a finite number.
    pub fn examples(
        &self,
        task: &CustomTask,
        path: &Path,
        rows: Vec<RawExample>,
    ) -> Result<Vec<Example>, TaskError> {
        let names: &[String] = match self {
            Self::Classes(names) => names,
            Self::Values => &[],
        };
        let classes: HashMap<&str, usize> = (names.iter().map(String::as_str)).zip(0..).collect();
        let label = |row: &RawExample| match self {
            Self::Classes(_) => classes.get(whole(&row.label)).copied().map(Label::Class),
            Self::Values => number(&row.label).map(Label::Value),
        };
        let wrong = |row: &RawExample| match self {
            Self::Classes(names) => TaskError::UnknownLabel {
                path: path.to_path_buf(),
                place: row.place,
                found: row.label.clone(),
                known: names.clone(),
                advice: "correct it, or add examples of it to the training file",
            },
            Self::Values => {
                let (place, column) = (row.place, &*task.label);
                Spot {
                    path,
                    place,
                    column,
                }
                .value(quoted(&row.label), "a number")
            }
        };
        let example = |row: RawExample| {
            let label = label(&row).ok_or_else(|| wrong(&row))?;
            let RawExample { first, second, .. } = row;
            Ok(Example {
                first,
                second,
                label,
            })
        };
        rows.into_iter().map(example).collect()
    }
}

/// A finite number.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The names with their numbers, if all are numbers.
fn numbered(names: &[String]) -> Option<Vec<(f64, &String)>> {
    names
        .iter()
        .map(|name| Some((number(name)?, name)))
        .collect()
}

fn has_fraction(label: &str) -> bool {
    number(label).is_some_and(|number| number.fract() != 0.0)
}

/// An integer without its decimals (`1.0` is `1`), and any other label as it is. Columns of integers are often saved as
/// floating-point numbers.
fn whole(label: &str) -> &str {
    let (integer, decimals) = label.split_once('.').unwrap_or((label, ""));
    let is_whole = number(integer).is_some() && decimals.bytes().all(|digit| digit == b'0');
    if is_whole { integer } else { label }
}
