//! An experiment: every choice of a run, as flags and TOML files give it and as `config.toml` of the run keeps it.

use crate::backend::BackendKind;
use crate::data::pack::FIELD;
use crate::model::{LlamaConfig, LlamaConfigError};
use crate::training::Decay;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use switchlora_core::cost::CostMethod;
use switchlora_core::{
    Algorithm, BiasCorrection, ConfigError, FactorInit, GaLoreConfig, MomentReset, PoolPlacement,
    ReLoraConfig, Selection, Sides, SwitchLoraConfig, SwitchSchedule,
};

/// How the model is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Method {
    /// Every weight.
    Full,
    /// Factors of low rank beside frozen weights.
    Lora,
    /// Factors of low rank that are merged and start again every so many updates.
    ReLora,
    /// Every weight, by gradients projected to a low rank.
    GaLore,
    /// Factors of low rank whose vectors are switched.
    #[default]
    SwitchLora,
}

impl Method {
    /// The method as the closed-form costs know it.
    pub fn cost(self) -> CostMethod {
        match self {
            Self::Full => CostMethod::Full,
            Self::Lora => CostMethod::Lora,
            Self::ReLora => CostMethod::ReLora,
            Self::GaLore => CostMethod::GaLore,
            Self::SwitchLora => CostMethod::SwitchLora,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.cost().name()
    }

    /// The rank of its layers, when factors have the rank `rank`.
    pub fn rank(self, rank: usize) -> Option<usize> {
        match self {
            Self::Full | Self::GaLore => None,
            Self::Lora | Self::ReLora | Self::SwitchLora => Some(rank),
        }
    }

    /// How its factors start, unless the experiment says otherwise.
    pub fn factors(self) -> FactorInit {
        match self {
            Self::Lora | Self::ReLora => FactorInit::Lora,
            Self::Full | Self::GaLore | Self::SwitchLora => FactorInit::SwitchLora,
        }
    }

    /// Whether the weights beside its factors are frozen.
    pub fn freezes(self) -> bool {
        self.rank(1).is_some()
    }

    /// A learning rate that suits it; the factors bear a higher one than the weights (measured on the embedded text).
    fn learning_rate(self) -> f64 {
        match self {
            Self::Full | Self::ReLora => 3e-3,
            Self::Lora | Self::GaLore | Self::SwitchLora => 1e-2,
        }
    }
}

/// The numbers a run is computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats everywhere.
    #[default]
    F32,
    /// Products of matrices in bf16; everything that is kept, and everything else, in f32.
    Bf16,
}

impl Precision {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// As the method knows it.
    pub fn in_core(self) -> switchlora_core::Precision {
        match self {
            Self::F32 => switchlora_core::Precision::F32,
            Self::Bf16 => switchlora_core::Precision::Bf16,
        }
    }
}

/// A whole experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// How the model is trained.
    pub method: Method,
    /// A preset's name, the path of a Hugging Face `config.json`, or a Hugging Face folder to start from.
    pub model: String,
    /// Rank of the factors; a quarter of the hidden size unless given.
    pub rank: Option<usize>,
    /// Updates of the whole training.
    pub steps: u64,
    /// Sequences in a micro-batch.
    pub batch_size: usize,
    /// Micro-batches whose gradients are averaged for one update.
    pub accumulation: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// Peak learning rate; one that suits the method unless given.
    pub lr: Option<f64>,
    /// Names every random number of the run.
    pub seed: u64,
    /// Files, folders and patterns of documents, or packed files; the embedded text if empty.
    pub data: Vec<PathBuf>,
    /// What is held out, in the same forms; the last 5 % of `data` if empty.
    pub validation: Vec<PathBuf>,
    /// A weight for each packed file of `data`; by their length if empty.
    pub weights: Vec<f64>,
    /// The field of a line, or the column, that holds a document's text.
    pub field: String,
    /// A `tokenizer.json`; the embedded one unless given.
    pub tokenizer: Option<PathBuf>,
    /// What it runs on.
    pub backend: BackendKind,
    /// Number of the device.
    pub device: usize,
    /// The numbers it is computed in.
    pub precision: Precision,
    /// What frozen weights rest in between two products.
    pub frozen: Precision,
    /// Updates between two evaluations; 0 for one at the end only.
    pub eval_every: u64,
    /// Sequences of an evaluation, spread over the held-out text; 0 for all.
    pub eval_sequences: u64,
    /// Updates between two checkpoints; 0 for one at the end only.
    pub checkpoint_every: u64,
    /// Newest checkpoints that are kept, besides the best.
    pub keep: usize,
    /// Largest global gradient norm.
    pub clip: f64,
    /// Full-rank training before the method begins: a run or checkpoint whose weights it starts from, or a number of the
    /// run's own updates.
    pub warm_start: Option<WarmStart>,
    /// Peak learning rate of full-rank updates at the beginning; that of `full`, or `lr` if it is lower, unless given.
    pub warm_start_lr: Option<f64>,
    /// How the learning rate changes.
    pub schedule: ScheduleSettings,
    /// The switches.
    pub switch: SwitchSettings,
    /// The restarts.
    pub relora: ReLoraSettings,
    /// The projections.
    pub galore: GaLoreSettings,
    /// The constants of AdamW.
    pub adamw: AdamWSettings,
}

/// Full-rank training before the method begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WarmStart {
    /// The first so many updates of the run.
    Updates(u64),
    /// A run directory or a checkpoint, whose factors, if it has any, are merged.
    From(PathBuf),
}

impl FromStr for WarmStart {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(updates) => Self::Updates(updates),
            Err(_) => Self::From(PathBuf::from(text)),
        })
    }
}

/// How the learning rate changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// How it falls after warmup.
    pub decay: Decay,
    /// Updates of linear warmup; a twentieth of the steps unless given.
    pub warmup: Option<u64>,
    /// The lowest rate, as a share of the peak.
    pub minimum: f64,
}

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchSettings {
    /// Updates between two switches of one vector, at the start.
    pub interval: f64,
    /// Share of the training after which the frequency has fallen to 0.3 of its start.
    pub ratio: f64,
    /// Keep the frequency of the start.
    pub fixed: bool,
    /// `N`, updates for which the counterpart of a switched vector does not move.
    pub freeze: u32,
    /// Which vectors are switched.
    pub selection: Selection,
    /// Which sides are switched: `both`, `a` or `b`.
    pub sides: Sides,
    /// Whether the moments of a switched vector's counterpart become zero.
    pub reset_moments: bool,
    /// Whether the step count of a switched vector's counterpart becomes zero.
    pub reset_counts: bool,
    /// How factors start and what spare vectors are drawn from: `switch_lora` (the paper's bounds) or `lora` (B zero).
    pub init: FactorInit,
    /// The frozen weights start at zero.
    pub zero_weight: bool,
    /// Where the spare vectors are kept.
    pub pools: PoolPlacement,
    /// The scale of the factors is `alpha / rank`.
    pub alpha: f64,
}

/// The restarts of ReLoRA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReLoraSettings {
    /// Updates between two restarts; a quarter of the steps unless given.
    pub cycle: Option<u64>,
    /// Updates over which the learning rate rises again after a restart, fewer than `cycle`; a tenth of it unless given.
    pub restart_warmup: Option<u64>,
    /// What becomes of the factors' moments: `zero`, `random` or `magnitude`.
    pub reset: MomentReset,
    /// The share of them that `random` and `magnitude` keep.
    pub keep: f64,
    /// Whether step counts become zero too.
    pub reset_counts: bool,
    /// The scale of the factors is `alpha / rank`.
    pub alpha: f64,
}

/// The projections of GaLore; their rank is the run's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaLoreSettings {
    /// Updates between two projections.
    pub gap: u64,
    /// Factor of the steps of projected weights.
    pub scale: f64,
    /// What is corrected for moments that begin at zero: `none`, `rate` (as the authors' program does) or `all`.
    pub bias_correction: BiasCorrection,
    /// Added to the root of the second moment, instead of `adamw.epsilon`.
    pub epsilon: f64,
}

/// The constants of AdamW.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            method: Method::default(),
            model: "tiny".to_owned(),
            rank: None,
            steps: 1000,
            batch_size: 8,
            accumulation: 1,
            sequence_length: 128,
            lr: None,
            seed: 0,
            data: Vec::new(),
            validation: Vec::new(),
            weights: Vec::new(),
            field: FIELD.to_owned(),
            tokenizer: None,
            backend: BackendKind::default(),
            device: 0,
            precision: Precision::default(),
            frozen: Precision::default(),
            eval_every: 100,
            eval_sequences: 128,
            checkpoint_every: 200,
            keep: 2,
            clip: 1.0,
            warm_start: None,
            warm_start_lr: None,
            schedule: ScheduleSettings::default(),
            switch: SwitchSettings::default(),
            relora: ReLoraSettings::default(),
            galore: GaLoreSettings::default(),
            adamw: AdamWSettings::default(),
        }
    }
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            decay: Decay::default(),
            warmup: None,
            minimum: 0.1,
        }
    }
}

impl Default for SwitchSettings {
    fn default() -> Self {
        Self {
            interval: 40.0,
            ratio: 0.1,
            fixed: false,
            freeze: 5,
            selection: Selection::default(),
            sides: Sides::default(),
            reset_moments: true,
            reset_counts: true,
            init: FactorInit::default(),
            zero_weight: false,
            pools: PoolPlacement::default(),
            alpha: 1.0,
        }
    }
}

impl Default for ReLoraSettings {
    fn default() -> Self {
        Self {
            cycle: None,
            restart_warmup: None,
            reset: MomentReset::default(),
            keep: 1e-3,
            reset_counts: false,
            alpha: 32.0,
        }
    }
}

impl Default for GaLoreSettings {
    fn default() -> Self {
        Self {
            gap: 200,
            scale: 0.25,
            bias_correction: BiasCorrection::Rate,
            epsilon: 1e-6,
        }
    }
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self {
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// A key that two experiments have different values for.
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

/// What is wrong with an experiment.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The file is not an experiment.
    #[error("{}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// A number outside its range.
    #[error("{key} is {value}, expected {expected}")]
    OutOfRange {
        /// The key of the file, which is also the flag's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] LlamaConfigError),
    /// The method.
    #[error(transparent)]
    Method(#[from] ConfigError),
}

impl Experiment {
    /// Reads an experiment; what the file leaves out has its default.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or has an unknown key or a value of another type.
    pub fn from_file(path: &Path) -> Result<Self, ExperimentError> {
        let text = std::fs::read_to_string(path).map_err(|reason| ExperimentError::Read {
            path: path.to_path_buf(),
            reason,
        })?;
        toml::from_str(&text).map_err(|error: toml::de::Error| ExperimentError::Toml {
            path: path.to_path_buf(),
            reason: error.to_string().trim_end().to_owned(),
        })
    }

    /// Checks every number and fills in what follows from others, so that nothing is left open.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn resolve(mut self) -> Result<(Self, LlamaConfig, SwitchLoraConfig), ExperimentError> {
        let model = LlamaConfig::resolve(&self.model)?;
        let positive = |key, value: u64| match value {
            0 => Err(out_of_range(key, value, "at least 1")),
            _ => Ok(()),
        };
        positive("steps", self.steps)?;
        positive("batch-size", self.batch_size as u64)?;
        positive("accumulation", self.accumulation as u64)?;
        positive("sequence-length", self.sequence_length as u64)?;
        positive("keep", self.keep as u64)?;
        let lr = *self.lr.get_or_insert(self.method.learning_rate());
        if !(lr.is_finite() && lr > 0.0) {
            return Err(out_of_range("lr", lr, "a number above 0"));
        }
        if self.clip.is_nan() || self.clip <= 0.0 {
            return Err(out_of_range("clip", self.clip, "a number above 0"));
        }
        if !(0.0..=1.0).contains(&self.schedule.minimum) {
            let found = self.schedule.minimum;
            return Err(out_of_range("schedule.minimum", found, "0 to 1"));
        }
        self.schedule.warmup.get_or_insert(self.steps / 20);
        match self.method {
            Method::Full => self.rank = None,
            _ => _ = self.rank.get_or_insert((model.hidden_size / 4).max(1)),
        }
        if !self.method.freezes() {
            self.frozen = Precision::F32;
        }
        self.resolve_restarts()?;
        self.resolve_warm_start(lr)?;
        let method = self.method_config()?;
        self.algorithm()?;
        Ok((self, model, method))
    }

    fn resolve_restarts(&mut self) -> Result<(), ExperimentError> {
        if self.method != Method::ReLora {
            return Ok(());
        }
        let steps = self.steps;
        let cycle = *self.relora.cycle.get_or_insert((steps / 4).max(1));
        let warmup = *self.relora.restart_warmup.get_or_insert(cycle / 10);
        match warmup < cycle.max(1) {
            true => Ok(()),
            false => Err(out_of_range(
                "relora.restart_warmup",
                warmup,
                "less than relora.cycle: the rate would be zero for ever",
            )),
        }
    }

    fn resolve_warm_start(&mut self, lr: f64) -> Result<(), ExperimentError> {
        if let Some(rate) = self.warm_start_lr
            && !(rate.is_finite() && rate > 0.0)
        {
            return Err(out_of_range("warm_start_lr", rate, "a number above 0"));
        }
        let Some(WarmStart::Updates(updates)) = self.warm_start else {
            return Ok(());
        };
        if updates >= self.steps {
            return Err(out_of_range(
                "warm-start",
                updates,
                "fewer updates than steps",
            ));
        }
        if self.method == Method::Full && updates > 0 {
            let expected = "another method than full, or a run to start from";
            return Err(out_of_range("warm-start", updates, expected));
        }
        self.warm_start_lr
            .get_or_insert(Method::Full.learning_rate().min(lr));
        Ok(())
    }

    /// Full-rank updates at the beginning of the run.
    pub fn full_rank_updates(&self) -> u64 {
        match self.warm_start {
            Some(WarmStart::Updates(updates)) => updates,
            Some(WarmStart::From(_)) | None => 0,
        }
    }

    /// How the factors start.
    pub fn factors(&self) -> FactorInit {
        match self.method {
            Method::SwitchLora => self.switch.init,
            method => method.factors(),
        }
    }

    /// Takes from `other` what is left open here.
    pub fn inherit(&mut self, other: &Self) {
        self.lr = self.lr.or(other.lr);
        self.rank = self.rank.or(other.rank);
        self.schedule.warmup = self.schedule.warmup.or(other.schedule.warmup);
        self.warm_start_lr = self.warm_start_lr.or(other.warm_start_lr);
        let (relora, theirs) = (&mut self.relora, &other.relora);
        relora.cycle = relora.cycle.or(theirs.cycle);
        relora.restart_warmup = relora.restart_warmup.or(theirs.restart_warmup);
    }

    /// The same experiment wherever it is read: paths of files that exist are made absolute.
    pub fn with_absolute_paths(mut self) -> Self {
        let absolute = |path: &mut PathBuf| {
            if let (true, Ok(whole)) = (path.exists(), std::path::absolute(&*path)) {
                *path = whole;
            }
        };
        let paths = self.data.iter_mut().chain(&mut self.validation);
        paths.for_each(absolute);
        self.tokenizer.iter_mut().for_each(absolute);
        if let Some(WarmStart::From(path)) = &mut self.warm_start {
            absolute(path);
        }
        let mut model = PathBuf::from(&self.model);
        if LlamaConfig::preset(&self.model).is_none() && model.exists() {
            absolute(&mut model);
            self.model = model.display().to_string();
        }
        self
    }

    /// The keys that `other` has another value for, in the order of their names.
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
            // 1e30, not a one with thirty zeros.
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

    fn method_config(&self) -> Result<SwitchLoraConfig, ConfigError> {
        let switch = &self.switch;
        let total = self.steps - self.full_rank_updates();
        let schedule = match (self.method, switch.fixed) {
            (Method::SwitchLora, true) => SwitchSchedule::fixed(switch.interval),
            (Method::SwitchLora, false) => {
                SwitchSchedule::decaying(switch.interval, switch.ratio, total)
            }
            _ => SwitchSchedule::Never,
        };
        let config = SwitchLoraConfig {
            rank: self.rank.and_then(|rank| self.method.rank(rank)),
            alpha: match self.method {
                Method::ReLora => self.relora.alpha,
                _ => switch.alpha,
            },
            sides: switch.sides,
            reset_moments: switch.reset_moments,
            reset_counts: switch.reset_counts,
            factors: self.factors(),
            zero_weight: switch.zero_weight && self.method == Method::SwitchLora,
            schedule,
            freeze: switch.freeze,
            selection: switch.selection,
            pools: switch.pools,
            beta_1: self.adamw.beta_1,
            beta_2: self.adamw.beta_2,
            epsilon: self.adamw.epsilon,
            weight_decay: self.adamw.weight_decay,
            seed: self.seed,
            precision: self.precision.in_core(),
            frozen: self.frozen.in_core(),
        };
        config.validate().map(|()| config)
    }

    /// What an update does besides AdamW.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn algorithm(&self) -> Result<Algorithm, ConfigError> {
        let relora = &self.relora;
        match self.method {
            Method::Full | Method::Lora | Method::SwitchLora => Ok(Algorithm::SwitchLora),
            Method::ReLora => {
                let config = ReLoraConfig {
                    cycle: relora.cycle.unwrap_or((self.steps / 4).max(1)),
                    reset: relora.reset,
                    keep: relora.keep,
                    reset_counts: relora.reset_counts,
                };
                config.validate().map(|()| Algorithm::ReLora(config))
            }
            Method::GaLore => {
                let config = GaLoreConfig {
                    rank: self.rank.unwrap_or_default(),
                    gap: self.galore.gap,
                    scale: self.galore.scale,
                    bias_correction: self.galore.bias_correction,
                    beta_1: self.adamw.beta_1,
                    beta_2: self.adamw.beta_2,
                    epsilon: self.galore.epsilon,
                    weight_decay: self.adamw.weight_decay,
                };
                config.validate().map(|()| Algorithm::GaLore(config))
            }
        }
    }

    /// What it is computed in and what frozen weights rest in, for people.
    pub fn numbers(&self) -> String {
        let precision = self.precision.name();
        match (self.method, self.frozen) {
            (method, _) if !method.freezes() => precision.to_owned(),
            (_, Precision::F32) => precision.to_owned(),
            (_, Precision::Bf16) => format!("{precision}, frozen bf16"),
        }
    }

    /// Tokens of one update.
    pub fn tokens_per_update(&self) -> u64 {
        (self.batch_size * self.accumulation * self.sequence_length) as u64
    }
}

fn out_of_range(
    key: &'static str,
    value: impl ToString,
    expected: &'static str,
) -> ExperimentError {
    ExperimentError::OutOfRange {
        key,
        value: value.to_string(),
        expected,
    }
}
