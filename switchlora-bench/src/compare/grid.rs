//! The grid of a comparison: one experiment, variants of it, learning rates to choose from, and seeds.
//!
//! ```toml
//! seeds = [1, 2, 3]
//! rates = [1e-3, 3e-3, 1e-2, 3e-2]   # learning rates; the sweep chooses the best one for each variant
//! sweep_seed = 0                     # seed of the sweep; do not use it in `seeds`
//! sweep_steps = 300                  # updates per training of the sweep; default: as in the experiment
//!
//! [experiment]                       # as `train --config` reads it, without method, lr and seed
//! model = "tiny"
//! steps = 1000
//!
//! [[variant]]
//! name = "galore, gap 1"
//! method = "galore"
//! galore = { gap = 1 }
//! ```
//!
//! `data`, `validation` and `tokenizer` belong into `[experiment]`: losses on another text or of other tokens cannot be
//! compared.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Experiment, ExperimentError, overlaid};

/// A comparison, as read from TOML.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Seeds with which every variant is trained at its best learning rate.
    #[serde(default = "seeds")]
    pub seeds: Vec<u64>,
    /// Learning rates of the sweep, for variants without their own.
    #[serde(default)]
    pub rates: Vec<f64>,
    /// Seed of the sweep.
    #[serde(default)]
    pub sweep_seed: u64,
    /// Updates per training of the sweep. Default: as in the experiment.
    pub sweep_steps: Option<u64>,
    /// Keys of the experiment that all variants share.
    #[serde(default)]
    pub experiment: toml::Table,
    /// The variants to compare.
    #[serde(rename = "variant", default)]
    pub variants: Vec<Variant>,
}

/// A variant of the experiment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Variant {
    /// Name in reports.
    pub name: String,
    /// Learning rates of this variant.
    pub rates: Option<Vec<f64>>,
    /// Keys of the experiment that override the shared ones.
    #[serde(flatten)]
    pub settings: toml::Table,
}

/// Why a grid cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: std::io::Error,
    },
    /// The file is not a grid.
    #[error("{}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A key of the grid has an unusable value.
    #[error("`{key}` is {found}, expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// The allowed values.
        expected: &'static str,
    },
    /// A variant's keys do not form an experiment.
    #[error("variant `{name}`: {reason}")]
    Settings {
        /// Name of the variant.
        name: String,
        /// Description of the fault.
        reason: String,
    },
    /// A variant's experiment cannot be run.
    #[error("variant `{name}`: {reason}")]
    Experiment {
        /// Name of the variant.
        name: String,
        /// The experiment's error.
        reason: ExperimentError,
    },
}

fn seeds() -> Vec<u64> {
    vec![1, 2, 3]
}

impl Grid {
    /// Reads a grid and checks all of it before the first training.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a grid, or a value is out of range.
    pub fn from_file(path: &Path) -> Result<Self, GridError> {
        let text = std::fs::read_to_string(path).map_err(|reason| GridError::Read {
            path: path.to_path_buf(),
            reason,
        })?;
        let grid: Self = toml::from_str(&text).map_err(|error| GridError::Toml {
            path: path.to_path_buf(),
            reason: error.to_string().trim_end().replace('\n', " "),
        })?;
        grid.validate().map(|()| grid)
    }

    fn validate(&self) -> Result<(), GridError> {
        let value = |key: &str, found: String, expected: &'static str| {
            let key = key.to_owned();
            Err(GridError::Value {
                key,
                found,
                expected,
            })
        };
        let distinct: BTreeSet<u64> = self.seeds.iter().copied().collect();
        if distinct.is_empty() || distinct.len() < self.seeds.len() {
            let expected = "at least one seed, each once";
            return value("seeds", format!("{:?}", self.seeds), expected);
        }
        if self.variants.is_empty() {
            return value("variant", "missing".to_owned(), "at least one [[variant]]");
        }
        let names: BTreeSet<&str> = self.variants.iter().map(|v| v.name.as_str()).collect();
        if names.len() < self.variants.len() {
            let found = format!(
                "{:?}",
                self.variants.iter().map(|v| &v.name).collect::<Vec<_>>()
            );
            return value("variant.name", found, "a name of its own for each");
        }
        for variant in &self.variants {
            let rates = self.rates(variant);
            if rates.is_empty() || !rates.iter().all(|rate| rate.is_finite() && *rate > 0.0) {
                let key = format!("rates of {}", variant.name);
                let expected = "at least one learning rate, each above 0";
                return value(&key, format!("{rates:?}"), expected);
            }
            self.trial(
                variant,
                BackendKind::Flex,
                rates[0],
                self.seeds[0],
                self.sweep_steps,
            )?;
        }
        Ok(())
    }

    /// The learning rates of a variant.
    pub fn rates<'a>(&'a self, variant: &'a Variant) -> &'a [f64] {
        variant.rates.as_deref().unwrap_or(&self.rates)
    }

    /// The experiment of one training. Without `steps` it has the updates of the grid's experiment.
    ///
    /// # Errors
    ///
    /// The variant's keys do not form an experiment, or set what the comparison controls.
    pub fn trial(
        &self,
        variant: &Variant,
        backend: BackendKind,
        rate: f64,
        seed: u64,
        steps: Option<u64>,
    ) -> Result<Experiment, GridError> {
        let name = || variant.name.clone();
        let wrong = |reason: String| GridError::Settings {
            name: name(),
            reason,
        };
        let table = overlaid(self.experiment.clone(), variant.settings.clone());
        for key in ["lr", "seed"] {
            if table.contains_key(key) {
                return Err(wrong(format!(
                    "`{key}` is given by the comparison; use `rates` and `seeds`"
                )));
            }
        }
        let experiment: Result<Experiment, _> = toml::Value::Table(table).try_into();
        let mut experiment =
            experiment.map_err(|error| wrong(error.to_string().trim_end().replace('\n', " ")))?;
        (experiment.lr, experiment.seed) = (Some(rate), seed);
        experiment.steps = steps.unwrap_or(experiment.steps);
        experiment.backend = backend;
        let resolved = experiment.with_absolute_paths().resolve();
        let (experiment, ..) = resolved.map_err(|reason| GridError::Experiment {
            name: name(),
            reason,
        })?;
        Ok(experiment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(text: &str) -> Result<Grid, GridError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.toml");
        std::fs::write(&path, text).unwrap();
        Grid::from_file(&path)
    }

    const BASE: &str =
        "rates = [1e-3, 1e-2]\n[experiment]\nsteps = 50\nswitch = { interval = 20 }\n";

    #[test]
    fn a_variant_is_the_experiment_with_its_own_keys_over_it() {
        let variant =
            "[[variant]]\nname = \"fast\"\nmethod = \"switchlora\"\nswitch = { sides = \"a\" }\n";
        let grid = grid(&format!("{BASE}{variant}")).unwrap();
        let trial = grid
            .trial(&grid.variants[0], BackendKind::Ndarray, 1e-3, 7, Some(30))
            .unwrap();
        assert_eq!((trial.steps, trial.seed, trial.lr), (30, 7, Some(1e-3)));
        assert_eq!(trial.switch.interval, 20.0);
        assert_eq!(trial.switch.sides, switchlora_core::Sides::A);
        assert_eq!(grid.seeds, [1, 2, 3]);
    }

    #[test]
    fn what_cannot_be_compared_is_refused_in_one_line_that_names_it() {
        let variant = |keys: &str| format!("{BASE}[[variant]]\nname = \"x\"\n{keys}");
        let cases = [
            (BASE.to_owned(), "variant"),
            (variant("method = \"magic\""), "magic"),
            (variant("swich = { interval = 3 }"), "swich"),
            (variant("lr = 1e-3"), "`lr`"),
            (variant("rates = [-1.0]"), "rates of x"),
            (variant("switch = { interval = 2 }"), "2 N"),
            (variant("seed = 3"), "`seed`"),
            (variant("accumulation = 0"), "accumulation"),
            (
                format!("{}[[variant]]\nname = \"x\"\n", variant("")),
                "name of its own",
            ),
            (format!("seeds = []\n{}", variant("")), "seeds"),
            ("rates = [".to_owned(), "grid.toml"),
        ];
        for (text, part) in cases {
            let error = grid(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{part} is not in: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
