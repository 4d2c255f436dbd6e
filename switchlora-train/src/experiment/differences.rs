//! The keys in which two experiments differ.

use super::config::Experiment;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A key that has different values in two experiments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key; inside a table, `table.key`.
    pub key: String,
    /// The value of the first.
    pub was: String,
    /// The value of the second.
    pub is: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} -> {})", self.key, self.was, self.is)
    }
}

impl Experiment {
    /// Returns the keys that have another value in `other`, sorted by name.
    ///
    /// # Errors
    ///
    /// A value that TOML cannot hold.
    pub fn differences(&self, other: &Self) -> Result<Vec<Difference>, toml::ser::Error> {
        let (was, is) = (self.flat()?, other.flat()?);
        let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let value = |values: &BTreeMap<String, String>, key: &String| {
            values.get(key).map_or("unset", String::as_str).to_owned()
        };
        let differences = keys.into_iter().map(|key| Difference {
            key: key.clone(),
            was: value(&was, key),
            is: value(&is, key),
        });
        Ok(differences.filter(|d| d.was != d.is).collect())
    }

    /// Every value as text, by its key.
    fn flat(&self) -> Result<BTreeMap<String, String>, toml::ser::Error> {
        let text = |value: toml::Value| match value {
            // `1e30`, not a one with thirty zeros.
            toml::Value::Float(number) => format!("{number:?}"),
            other => other.to_string(),
        };
        let mut flat = BTreeMap::new();
        for (key, value) in toml::Table::try_from(self)? {
            match value {
                toml::Value::Table(table) => {
                    let inner = table.into_iter();
                    flat.extend(inner.map(|(inner, v)| (format!("{key}.{inner}"), text(v))));
                }
                value => _ = flat.insert(key, text(value)),
            }
        }
        Ok(flat)
    }
}
