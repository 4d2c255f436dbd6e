//! Reads an experiment from a file, and puts other values over its own.

use super::config::Experiment;
use super::error::ExperimentError;
use super::values::table;
use crate::at_path::AtPath;
use crate::toml_fault::toml_fault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

impl Experiment {
    /// Reads an experiment; keys that the file leaves out have their defaults.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or has an unknown key or a value of another type.
    pub fn from_file(path: &Path) -> Result<Self, ExperimentError> {
        parsed(path, &text_of(path)?)
    }

    /// As [`from_file`](Self::from_file), but keys that the file leaves out have the values of this experiment.
    ///
    /// # Errors
    ///
    /// Those of [`from_file`](Self::from_file).
    pub fn with_file(&self, path: &Path) -> Result<Self, ExperimentError> {
        let text = text_of(path)?;
        // Errors name lines of the file, which the two together no longer have.
        parsed::<Self>(path, &text)?;
        self.with(&parsed::<Table>(path, &text)?)
    }

    /// The experiment with other values for some keys: those of `flags` that are not `None`.
    ///
    /// # Errors
    ///
    /// A value that TOML cannot hold.
    pub fn with(&self, flags: &impl Serialize) -> Result<Self, ExperimentError> {
        let whole = overlaid(table(self)?, table(flags)?).try_into();
        whole.map_err(|error: toml::de::Error| ExperimentError::Unstorable {
            reason: error.to_string(),
        })
    }
}

fn text_of(path: &Path) -> Result<String, ExperimentError> {
    std::fs::read_to_string(path).map_err(|reason| ExperimentError::Read {
        path: path.to_path_buf(),
        reason,
    })
}

fn parsed<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ExperimentError> {
    toml::from_str(text).map_err(|error| {
        let reason = toml_fault(text, &error);
        ExperimentError::Toml(AtPath::new(path, reason))
    })
}

/// `base` with the values of `over` in place of its own, table by table. In `over`, the key `table.key` stands for the key of
/// that table.
pub fn overlaid(mut base: Table, over: Table) -> Table {
    for (key, value) in over {
        let (key, value) = match key.split_once('.') {
            Some((table, key)) => (
                table.to_owned(),
                Table::from_iter([(key.to_owned(), value)]).into(),
            ),
            None => (key, value),
        };
        let value = match (base.remove(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => overlaid(base, over).into(),
            (_, value) => value,
        };
        base.insert(key, value);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::WarmStart;
    use proptest::prelude::*;

    #[derive(Default, Serialize)]
    struct Flags {
        lr: Option<f64>,
        warm_start: Option<WarmStart>,
        #[serde(rename = "schedule.warmup")]
        warmup: Option<u64>,
        #[serde(rename = "switch.interval")]
        interval: Option<f64>,
    }

    /// Every number: not NaN, of which TOML has a single one.
    fn number() -> impl Strategy<Value = f64> {
        use prop::num::f64::{INFINITE, NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
        POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO | INFINITE
    }

    proptest! {
        #[test]
        fn a_flag_wins_exactly_and_every_other_value_stays_exactly(
            lr in number(), minimum in number(), interval in prop::option::of(number()),
            warmup in prop::option::of(0..u64::MAX / 2),
        ) {
            let warm_start = Some(WarmStart::From("12".into()));
            let mut base = Experiment { warm_start, ..Experiment::default() };
            (base.lr, base.schedule.minimum, base.switch.interval) = (Some(1.0), minimum, 7.0);
            let flags = Flags { lr: Some(lr), warmup, interval, ..Flags::default() };
            let both = base.with(&flags).unwrap();
            prop_assert_eq!(both.lr.map(f64::to_bits), Some(lr.to_bits()));
            prop_assert_eq!(both.schedule.minimum.to_bits(), minimum.to_bits());
            prop_assert_eq!(both.switch.interval.to_bits(), interval.unwrap_or(7.0).to_bits());
            prop_assert_eq!((both.schedule.warmup, &both.warm_start), (warmup, &base.warm_start));
        }
    }

    #[test]
    fn no_flags_change_nothing_and_a_value_that_toml_cannot_hold_is_an_error() {
        let mut base = Experiment::default();
        assert_eq!(base.with(&Flags::default()).unwrap(), base);
        base.seed = u64::MAX;
        let error = base.with(&Flags::default()).unwrap_err().to_string();
        assert!(error.contains("config.toml"), "{error}");
    }

    #[test]
    fn a_file_that_is_wrong_is_named_with_the_place_and_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("typo.toml");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Experiment::from_file(&path).unwrap_err().to_string()
        };
        let unknown = error("method = \"full\"\n[schedule]\nwarm_up = 5\n");
        for part in [
            "typo.toml",
            "line 3: ",
            "`warm_up`",
            "`warmup`",
            "`minimum`",
        ] {
            assert!(unknown.contains(part), "no {part} in {unknown}");
        }
        let other = error("precision = \"f16\"");
        assert!(other.contains("`f32` or `bf16`"), "{other}");
    }
}
