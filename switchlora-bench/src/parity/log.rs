//! The log `RUN.json` of one run of the authors' program: settings and measurements.

use super::error::GoldenError;
use super::tensors::read;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use switchlora_core::{
    AdamWConfig, ConfigError, Method, MethodConfig, ReLoraConfig, SwitchSchedule,
};

/// Settings and measurements of one run. Other keys of the file are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct RunLog {
    /// Mean cross-entropy of each update's batch, before the update.
    pub loss: Vec<f64>,
    /// Global gradient norm of each update, before clipping.
    #[serde(default)]
    pub grad_norm: Vec<f64>,
    /// Switches of each layer at each update, `[update][layer]`.
    #[serde(default)]
    pub switch: Vec<Vec<Option<LoggedSwitch>>>,
    /// Paths of the adapted layers, in the order of [`switch`](Self::switch).
    #[serde(default)]
    pub layers: Vec<String>,
    /// Learning rate.
    pub lr: Option<f64>,
    /// Learning rate of each update, if it is not constant.
    #[serde(default)]
    pub lr_used: Vec<f64>,
    /// Largest gradient norm; 0 for no limit.
    #[serde(default = "one")]
    pub clip: f64,
    /// Rank of the LoRA factors or projections.
    pub rank: Option<usize>,
    /// `alpha / rank`.
    pub scaling: Option<f64>,
    /// Initial switching interval: updates between two switches of a vector.
    pub interval: Option<f64>,
    /// Whether the interval is constant.
    #[serde(default)]
    pub fixed_interval: bool,
    /// Whether vectors are selected at random.
    #[serde(default)]
    pub discontinuous: bool,
    /// Updates after which the switching frequency has fallen to 0.3 of its initial value.
    pub descent_step: Option<f64>,
    /// Updates for which the counterpart of a switched vector is frozen; negative for none.
    #[serde(default = "freeze")]
    pub adam_warm_step: i64,
    /// Decay rates of the first and second moment.
    #[serde(default = "betas")]
    pub betas: [f64; 2],
    /// AdamW's epsilon, added to the square root of the second moment.
    #[serde(default = "epsilon")]
    pub eps: f64,
    /// Decoupled weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// GaLore: updates between two projections.
    pub gap: Option<u64>,
    /// GaLore: factor of the steps of projected weights.
    pub scale: Option<f64>,
    /// ReLoRA: updates between two restarts.
    pub cycle: Option<u64>,
    /// ReLoRA: entries of the moments kept at each restart.
    #[serde(default)]
    pub resets: Vec<LoggedReset>,
}

/// Entries of the moments kept at a restart.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct LoggedReset {
    /// Number of updates before the restart.
    pub after_update: usize,
    /// Flat indices of the kept entries, row-major in the layout of the file, by tensor name such as
    /// `PATH.lora_A.weight.exp_avg`.
    pub kept_flat_indices: BTreeMap<String, Vec<usize>>,
}

/// The switches of one layer at one update.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct LoggedSwitch {
    /// The uniform random number, if one was drawn.
    pub u: Option<f64>,
    /// Rows exchanged on each side.
    pub n: Option<usize>,
    /// For each exchange of side A: row, slot into which it is saved, slot from which it is loaded.
    #[serde(rename = "A", default)]
    pub a: Vec<[i64; 3]>,
    /// The same for side B.
    #[serde(rename = "B", default)]
    pub b: Vec<[i64; 3]>,
    /// The next row to switch on side A, before and after.
    #[serde(rename = "A_ptr")]
    pub a_ptr: Option<[i64; 2]>,
    /// The same for side B.
    #[serde(rename = "B_ptr")]
    pub b_ptr: Option<[i64; 2]>,
    /// Number of further updates for which each row of A is frozen, after this update.
    #[serde(rename = "fixed_A")]
    pub fixed_a: Option<Vec<i64>>,
    /// The same for side B.
    #[serde(rename = "fixed_B")]
    pub fixed_b: Option<Vec<i64>>,
}

fn one() -> f64 {
    1.0
}

fn freeze() -> i64 {
    5
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn epsilon() -> f64 {
    1e-8
}

impl RunLog {
    /// Reads and checks the log of the run called `run`.
    pub(super) fn open(path: &Path, run: &str) -> Result<Self, GoldenError> {
        let bytes = read(path, "the log of a run")?;
        let log: Self = serde_json::from_slice(&bytes).map_err(|reason| GoldenError::Json {
            path: path.to_owned(),
            reason,
        })?;
        log.check(path, run)?;
        Ok(log)
    }

    fn check(&self, path: &Path, run: &str) -> Result<(), GoldenError> {
        let wrong = |key: &str, found: &dyn std::fmt::Display, expected: &str| {
            Err(GoldenError::value(path, key, found, expected))
        };
        let updates = self.loss.len();
        if updates == 0 {
            return wrong("loss", &"empty", "the loss of each update");
        }
        if self.gap.is_some() && self.rank.is_none() {
            return wrong("rank", &"missing", "the rank of the projections");
        }
        if self.discontinuous {
            return wrong(
                "discontinuous",
                &true,
                "false: random choices are not logged",
            );
        }
        if run.starts_with("switchlora") && self.switch.is_empty() {
            return wrong(
                "switch",
                &"empty or missing",
                "what each layer switched at each update",
            );
        }
        if !self.switch.is_empty() && self.rank.is_none() {
            return wrong("rank", &"missing", "the rank of the factors");
        }
        if self.lr.is_none() && self.lr_used.is_empty() {
            return wrong("lr", &"missing", "a learning rate");
        }
        let lengths = [
            ("grad_norm", self.grad_norm.len()),
            ("lr_used", self.lr_used.len()),
            ("switch", self.switch.len()),
        ];
        for (key, length) in lengths {
            if length != 0 && length < updates {
                let expected = format!("{updates}, as many as there are losses");
                return wrong(&format!("{key} length"), &length, &expected);
            }
        }
        for (update, layers) in self.switch.iter().enumerate() {
            if layers.len() != self.layers.len() {
                let expected = format!("{}, as many as `layers`", self.layers.len());
                return wrong(
                    &format!("switch[{update}] length"),
                    &layers.len(),
                    &expected,
                );
            }
        }
        Ok(())
    }

    /// Training method, inferred from the keys.
    pub fn method(&self) -> Method {
        if self.gap.is_some() {
            return Method::GaLore;
        }
        if self.cycle.is_some() {
            return Method::ReLora;
        }
        match (self.switch.is_empty(), self.rank) {
            (false, _) => Method::SwitchLora,
            (true, Some(_)) => Method::Lora,
            (true, None) => Method::Full,
        }
    }

    /// Learning rate of an update.
    pub fn learning_rate(&self, update: usize) -> f64 {
        let logged = self.lr_used.get(update).copied();
        logged.or(self.lr).unwrap_or_default()
    }

    /// Largest gradient norm; infinite for no limit.
    pub fn max_norm(&self) -> f64 {
        if self.clip > 0.0 {
            self.clip
        } else {
            f64::INFINITY
        }
    }

    /// The method with the run's settings. `rank` is the rank of its factors, which not every log has.
    pub(super) fn config(
        &self,
        path: &Path,
        rank: Option<usize>,
    ) -> Result<MethodConfig, GoldenError> {
        let required = |key: &str, value: Option<f64>| {
            let missing = || GoldenError::value(path, key, "missing", "a number above 0");
            value.ok_or_else(missing)
        };
        let schedule = match (self.method(), self.fixed_interval) {
            (Method::SwitchLora, true) => {
                SwitchSchedule::fixed(required("interval", self.interval)?)
            }
            // Only `ratio * total` matters, which is the descent step; with a total of 1 it is exact.
            (Method::SwitchLora, false) => SwitchSchedule::decaying(
                required("interval", self.interval)?,
                required("descent_step", self.descent_step)?,
                1,
            ),
            _ => SwitchSchedule::Never,
        };
        let config = self.config_with(schedule, rank);
        config.map_err(|reason| GoldenError::Method {
            path: path.to_owned(),
            reason,
        })
    }

    fn config_with(
        &self,
        schedule: SwitchSchedule,
        rank: Option<usize>,
    ) -> Result<MethodConfig, ConfigError> {
        let rank = rank.unwrap_or(1);
        let adamw = AdamWConfig {
            beta_1: self.betas[0],
            beta_2: self.betas[1],
            epsilon: self.eps,
            weight_decay: self.weight_decay,
            decay_matrices_only: false,
        };
        // Its interval may be too short for the default freeze, but not for the run's.
        let mut config = MethodConfig::new(self.method(), rank, SwitchSchedule::Never)?;
        let layers = &mut config.layers;
        layers.schedule = schedule;
        layers.alpha = self.scaling.map_or(1.0, |scaling| scaling * rank as f64);
        layers.freeze = u32::try_from(self.adam_warm_step.max(0)).unwrap_or(u32::MAX / 2);
        layers.adamw = adamw;
        let galore = &mut config.galore;
        galore.gap = self.gap.unwrap_or(galore.gap);
        galore.scale = self.scale.unwrap_or(galore.scale);
        galore.adamw = adamw;
        if let Some(cycle) = self.cycle {
            config.relora = ReLoraConfig::new(cycle)?;
        }
        config.validate().map(|()| config)
    }
}
