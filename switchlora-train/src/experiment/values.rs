//! Which values an experiment may hold: those that `config.toml` and `state.json` can hold.
//!
//! JSON has no infinity, TOML no integer above 2^63, and neither has a path that is not UTF-8. Such a value would be found out
//! when a checkpoint is written or read, after the work is done. It is refused by its key before anything is made.

use super::config::Experiment;
use super::error::ExperimentError;
use crate::home::{HomeError, expanded};
use serde::Serialize;
use serde_json::Value as Json;
use std::path::Path;
use toml::{Table, Value};

/// `values` as a table.
///
/// # Errors
///
/// A value that TOML cannot hold, by its key.
pub(super) fn table(values: &impl Serialize) -> Result<Table, ExperimentError> {
    // JSON holds every integer, so it can say which one is too large for TOML.
    let json = serde_json::to_value(values).map_err(|reason| ExperimentError::Unstorable {
        reason: reason.to_string(),
    })?;
    check_integers("", &json)?;
    Table::try_from(values).map_err(|reason| ExperimentError::Unstorable {
        reason: reason.to_string(),
    })
}

impl Experiment {
    /// Checks that `config.toml` and `state.json` give back every value as it is.
    ///
    /// # Errors
    ///
    /// The key of the first value that they cannot hold.
    pub fn check_values(&self) -> Result<(), ExperimentError> {
        for (key, path) in self.paths() {
            check_path(key, path)?;
        }
        if self.field.is_empty() {
            return Err(out_of_range("field", "empty", "the name of a field"));
        }
        check_floats("", &Value::Table(table(self)?))?;
        let unstorable = |reason: String| ExperimentError::Unstorable { reason };
        let text = toml::to_string(self).map_err(|error| unstorable(error.to_string()))?;
        let from_toml = toml::from_str(&text).map_err(|error| unstorable(error.to_string()))?;
        let json = serde_json::to_vec(self).map_err(|error| unstorable(error.to_string()))?;
        let from_json =
            serde_json::from_slice(&json).map_err(|error| unstorable(error.to_string()))?;
        for read in [from_toml, from_json] {
            let changed = self.differences(&read);
            let changed = changed.map_err(|error| unstorable(error.to_string()))?;
            if let Some(changed) = changed.first() {
                return Err(unstorable(format!("{changed} when it is read back")));
            }
        }
        Ok(())
    }
}

fn check_path(key: &str, path: &Path) -> Result<(), ExperimentError> {
    let shown = format!("{path:?}");
    let other_user = expanded(path) == Err(HomeError::OtherUser);
    match path.to_str() {
        None => Err(out_of_range(
            key,
            shown,
            "a name in UTF-8, since config.toml holds no other: rename it, or give its folder",
        )),
        Some("") => Err(out_of_range(key, "empty", "a path")),
        Some(text) if text.contains('\0') => Err(out_of_range(key, shown, "a path without NUL")),
        Some(_) if other_user => {
            let expected = "a path without ~name: write the folder out";
            Err(out_of_range(key, shown, expected))
        }
        Some(_) => Ok(()),
    }
}

/// Refuses integers that TOML cannot hold.
fn check_integers(key: &str, value: &Json) -> Result<(), ExperimentError> {
    match value {
        Json::Number(number) if number.as_u64().is_some_and(|n| i64::try_from(n).is_err()) => {
            let expected = "at most 9223372036854775807, the largest number that config.toml holds";
            Err(out_of_range(key, number, expected))
        }
        Json::Array(values) => values
            .iter()
            .try_for_each(|value| check_integers(key, value)),
        Json::Object(values) => values
            .iter()
            .try_for_each(|(inner, value)| check_integers(&within(key, inner), value)),
        _ => Ok(()),
    }
}

/// Refuses infinity and NaN, which JSON cannot hold.
fn check_floats(key: &str, value: &Value) -> Result<(), ExperimentError> {
    match value {
        Value::Float(number) if !number.is_finite() => {
            Err(out_of_range(key, format!("{number:?}"), "a finite number"))
        }
        Value::Array(values) => values.iter().try_for_each(|value| check_floats(key, value)),
        Value::Table(values) => values
            .iter()
            .try_for_each(|(inner, value)| check_floats(&within(key, inner), value)),
        _ => Ok(()),
    }
}

fn within(table: &str, key: &str) -> String {
    match table.is_empty() {
        true => key.to_owned(),
        false => format!("{table}.{key}"),
    }
}

pub(super) fn out_of_range(
    key: impl Into<String>,
    value: impl ToString,
    expected: impl Into<String>,
) -> ExperimentError {
    ExperimentError::OutOfRange {
        key: key.into(),
        value: value.to_string(),
        expected: expected.into(),
    }
}
