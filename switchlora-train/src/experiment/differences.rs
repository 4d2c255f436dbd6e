//! The keys in which two experiments differ.

use super::config::Experiment;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// What another value of a key means for a run that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another training: the state that the run has would mean something else.
    Training,
    /// Other updates from now on: those that are done keep their meaning.
    Updates,
    /// Another place or order of the same computation.
    Place,
    /// Another path: whether something else is there, its content says.
    Path,
}

/// A key that has different values in two experiments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key; inside a table, `table.key`.
    pub key: String,
    /// The value of the first.
    pub was: String,
    /// The value of the second.
    pub is: String,
    /// What that means.
    pub change: Change,
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
            change: other.change(key),
        });
        Ok(differences.filter(|d| d.was != d.is).collect())
    }

    /// What it means that `key` now has the value that it has here.
    fn change(&self, key: &str) -> Change {
        match key {
            "backend" | "device" | "keep" | "moments" | "recompute" | "reduce" => Change::Place,
            "checkpoint_every" | "clip" | "eval_every" | "eval_sequences" | "lr"
            | "projection_lr" | "steps" | "task.patience" => Change::Updates,
            key if key.starts_with("schedule.") => Change::Updates,
            "data" | "task.data" | "task.validation" | "tokenizer" | "validation" => Change::Path,
            // A file or a folder, or the name of a preset.
            "model" if Path::new(&self.model).exists() => Change::Path,
            _ => Change::Training,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_key_says_what_becomes_of_the_run() {
        let was = Experiment::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut now = Experiment {
            model: file.path().display().to_string(),
            keep: was.keep + 1,
            rank: Some(3),
            seed: was.seed + 1,
            steps: was.steps + 1,
            tokenizer: Some("tokenizer.json".into()),
            ..was.clone()
        };
        now.schedule.warmup = Some(7);
        let changes = |now: &Experiment| -> Vec<(String, Change)> {
            let found = was.differences(now).unwrap().into_iter();
            found.map(|found| (found.key, found.change)).collect()
        };
        let expected = [
            ("keep", Change::Place),
            ("model", Change::Path),
            ("rank", Change::Training),
            ("schedule.warmup", Change::Updates),
            ("seed", Change::Training),
            ("steps", Change::Updates),
            ("tokenizer", Change::Path),
        ];
        assert_eq!(changes(&now), expected.map(|(k, c)| (k.to_owned(), c)));
        // The name of a preset.
        now.model = "nano".to_owned();
        assert!(changes(&now).contains(&("model".to_owned(), Change::Training)));
    }
}
