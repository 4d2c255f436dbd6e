//! The grid of a comparison: one experiment, variants of it, a search for their learning rates, and seeds.
//!
//! ```toml
//! seeds = [1, 2, 3]
//! trainings = 12                     # of the search for the learning rates of each variant; default: no search
//! sweep_seed = 0                     # seed of the search; not one of `seeds`
//! sweep_steps = 300                  # updates per training of the search; default: as in the experiment
//!
//! [experiment]                       # as `train --config` reads it, without seed
//! model = "tiny"
//! steps = 1000
//! lr = 1e-2                          # where the search begins; without one, the rates of the variants
//! projection_lr = 3e-3
//!
//! [[variant]]
//! name = "galore, gap 1"
//! method = "galore"
//! galore = { gap = 1 }
//!
//! [[variant]]
//! name = "full, one rate"
//! method = "full"
//! lr = 3e-3
//! one_rate = true                    # the search changes both rates alike
//! ```
//!
//! `data`, `validation` and `tokenizer` belong into `[experiment]`: losses on another text or of other tokens cannot be
//! compared.

use super::search::Rates;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use switchlora_train::backend::BackendKind;
use switchlora_train::experiment::{Experiment, ExperimentError, overlaid};
use switchlora_train::toml_fault;

/// A comparison, as read from TOML.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Seeds with which every variant is trained at its best learning rate.
    #[serde(default = "seeds")]
    pub seeds: Vec<u64>,
    /// Trainings of the search for the learning rates of each variant; 0 for the rates that the variant has.
    #[serde(default)]
    pub trainings: usize,
    /// Seed of the search.
    #[serde(default)]
    pub sweep_seed: u64,
    /// Updates per training of the search. Default: as in the experiment.
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
    /// Whether the search changes both learning rates alike.
    #[serde(default)]
    pub one_rate: bool,
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
        /// The line, and the parser's message.
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
            reason: toml_fault(&text, &error),
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
        if names.len() < self.variants.len() || names.iter().any(|name| name.trim().is_empty()) {
            let found = format!(
                "{:?}",
                self.variants.iter().map(|v| &v.name).collect::<Vec<_>>()
            );
            return value("variant.name", found, "a name of its own for each");
        }
        for variant in &self.variants {
            let rates = self.start(variant)?;
            if variant.one_rate && rates.lr != rates.projection_lr {
                let key = format!("one_rate of {}", variant.name);
                let found = format!(
                    "lr = {:e}, projection_lr = {:e}",
                    rates.lr, rates.projection_lr
                );
                return value(&key, found, "two equal rates");
            }
            let (backend, seed) = (BackendKind::Flex, self.sweep_seed);
            self.trial(variant, backend, None, seed, self.sweep_steps)?;
        }
        if self.trainings > 0 && self.seeds.contains(&self.sweep_seed) {
            let expected = "none of `seeds`: the trainings that choose the rates are not reported";
            return value("sweep_seed", self.sweep_seed.to_string(), expected);
        }
        Ok(())
    }

    /// The learning rates that a variant gives, or its method's defaults: where its search begins.
    ///
    /// # Errors
    ///
    /// As [`trial`](Self::trial).
    pub fn start(&self, variant: &Variant) -> Result<Rates, GridError> {
        let trial = self.trial(variant, BackendKind::Flex, None, self.sweep_seed, None)?;
        let (lr, projection_lr) = (trial.lr, trial.projection_lr);
        Ok(Rates {
            lr: lr.unwrap_or_default(),
            projection_lr: projection_lr.or(lr).unwrap_or_default(),
        })
    }

    /// The experiment of one training. Without `rates` it has those of the variant, without `steps` the updates of the
    /// grid's experiment.
    ///
    /// # Errors
    ///
    /// The variant's keys do not form an experiment, or set what the comparison controls.
    pub fn trial(
        &self,
        variant: &Variant,
        backend: BackendKind,
        rates: Option<Rates>,
        seed: u64,
        steps: Option<u64>,
    ) -> Result<Experiment, GridError> {
        let name = || variant.name.clone();
        let wrong = |reason: String| GridError::Settings {
            name: name(),
            reason,
        };
        let table = overlaid(self.experiment.clone(), variant.settings.clone());
        if table.contains_key("seed") {
            return Err(wrong(
                "`seed` is given by the comparison; use `seeds`".to_owned(),
            ));
        }
        if table.contains_key("task") {
            return Err(wrong(
                "`task` is not compared here; use `switchlora-train glue` or `finetune`".to_owned(),
            ));
        }
        let experiment: Result<Experiment, _> = toml::Value::Table(table).try_into();
        let mut experiment =
            experiment.map_err(|error| wrong(error.to_string().trim_end().replace('\n', " ")))?;
        experiment.seed = seed;
        if let Some(Rates { lr, projection_lr }) = rates {
            (experiment.lr, experiment.projection_lr) = (Some(lr), Some(projection_lr));
        }
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
        "trainings = 5\n[experiment]\nlr = 2e-2\nsteps = 50\nswitch = { interval = 20 }\n";

    #[test]
    fn a_variant_is_the_experiment_with_its_own_keys_over_it() {
        let variant =
            "[[variant]]\nname = \"fast\"\nmethod = \"switchlora\"\nswitch = { sides = \"a\" }\n";
        let grid = grid(&format!("{BASE}{variant}")).unwrap();
        let (fast, rates) = (&grid.variants[0], grid.start(&grid.variants[0]).unwrap());
        assert_eq!((rates.lr, rates.projection_lr), (2e-2, 2e-2));
        let (lr, projection_lr) = (1e-3, 4e-3);
        let rates = Some(Rates { lr, projection_lr });
        let trial = grid.trial(fast, BackendKind::Ndarray, rates, 7, Some(30));
        let trial = trial.unwrap();
        assert_eq!((trial.steps, trial.seed), (30, 7));
        assert_eq!((trial.lr, trial.projection_lr), (Some(1e-3), Some(4e-3)));
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
            (variant("projection_lr = -1.0"), "projection_lr"),
            (
                variant("projection_lr = 1e-3\none_rate = true"),
                "one_rate of x",
            ),
            (format!("sweep_seed = 2\n{}", variant("")), "sweep_seed"),
            (variant("switch = { interval = 2 }"), "2 N"),
            (variant("seed = 3"), "`seed`"),
            (
                variant("task = { name = \"cola\", data = \"glue\" }"),
                "`task`",
            ),
            (variant("accumulation = 0"), "accumulation"),
            (
                format!("{}[[variant]]\nname = \"x\"\n", variant("")),
                "name of its own",
            ),
            (variant("").replace("\"x\"", "\" \""), "name of its own"),
            (format!("seeds = []\n{}", variant("")), "seeds"),
            ("seeds = [".to_owned(), "grid.toml"),
        ];
        for (text, part) in cases {
            let error = grid(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{part} is not in: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn every_experiment_of_the_repository_is_a_grid_that_can_be_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
        let mut count = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let grid = Grid::from_file(&path);
            assert!(grid.is_ok(), "{}: {}", path.display(), grid.unwrap_err());
            count += 1;
        }
        assert!(count > 4, "{count}");
    }
}
