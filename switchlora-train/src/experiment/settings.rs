//! The tables of an experiment. Defaults that belong to a method are taken from its configuration in `switchlora_core`.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use switchlora_core::{
    BiasCorrection, Candidates, FactorInit, GaLoreConfig, MomentReset, PoolPlacement,
    PoolPrecision, ReLoraConfig, Selection, Sides, SwitchLoraConfig, SwitchSchedule,
};

/// How the learning rate falls after warmup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Half a cosine, down to the minimum at the last update.
    #[default]
    Cosine,
    /// A straight line, down to the minimum at the last update.
    Linear,
    /// No decay.
    Constant,
}

/// Table `[schedule]`: learning rate schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// How the learning rate falls after warmup.
    pub decay: Decay,
    /// Updates of linear warmup; a twentieth of the steps unless given.
    pub warmup: Option<u64>,
    /// The lowest learning rate, as a share of the peak.
    pub minimum: f64,
}

/// Table `[switch]`: the switches of SwitchLoRA, and the scale of the factors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchSettings {
    /// Updates between two switches of a LoRA vector, at the start.
    pub interval: f64,
    /// Share of the training after which the switching frequency has fallen to 0.3 of its start.
    pub ratio: f64,
    /// Keep the switching frequency of the start.
    pub fixed: bool,
    /// `N`: updates for which the counterpart of a switched vector is frozen.
    pub freeze: u32,
    /// Which vectors are switched.
    pub selection: Selection,
    /// Which sides switch: `both`, `a` or `b`. One side alone is an ablation.
    pub sides: Sides,
    /// Reset the moments of a switched vector's counterpart to zero.
    pub reset_moments: bool,
    /// Reset the step count of a switched vector's counterpart to zero.
    pub reset_counts: bool,
    /// Keep the second moment and the step count of a switched vector's counterpart, so that only its first moment is
    /// reset.
    pub keep_second_moments: bool,
    /// Updates over which the learning rate of a switched vector's counterpart rises from zero after the switch.
    pub warmup: u32,
    /// Where the vectors that a switch brings in come from: `drawn` (from pools, as in the paper), `gradient`, or `fresh`
    /// (drawn at the switch, without pools).
    pub candidates: Candidates,
    /// Orthogonal steps for the factors, with the settings of `[muon]`, in place of AdamW's; also of method `lora`.
    pub orthogonal: bool,
    /// Initial distribution of factors and candidate vectors: `switch_lora` (the paper's bounds) or `lora` (B zero).
    pub init: FactorInit,
    /// Start the frozen weights at zero.
    pub zero_weight: bool,
    /// Where the candidate vectors are kept.
    pub pools: PoolPlacement,
    /// In how many bits the numbers of the candidate vectors are kept: `f32`, `bf16` or `int8`.
    pub pool_precision: PoolPrecision,
    /// The scale of the factors is `alpha / rank`; also of method `lora`.
    pub alpha: f64,
}

/// Table `[relora]`: the restarts of ReLoRA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReLoraSettings {
    /// Updates between two restarts; a quarter of the steps unless given.
    pub cycle: Option<u64>,
    /// Updates of linear warmup after a restart, fewer than `cycle`; a tenth of it unless given.
    pub restart_warmup: Option<u64>,
    /// How a restart resets the moments of the factors: `zero`, `random` or `magnitude`.
    pub reset: MomentReset,
    /// Share of the entries of a moment that `random` and `magnitude` keep.
    pub keep: f64,
    /// Reset step counts to zero too.
    pub reset_counts: bool,
    /// The scale of the factors is `alpha / rank`.
    pub alpha: f64,
}

/// Table `[galore]`: the projections of GaLore. Their rank is the run's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaLoreSettings {
    /// Updates between two projections.
    pub gap: u64,
    /// Factor of the steps of projected weights.
    pub scale: f64,
    /// Bias correction of the moments: `none`, `rate` (as in the authors' program) or `all`.
    pub bias_correction: BiasCorrection,
    /// Added to the root of the second moment, instead of `adamw.epsilon`.
    pub epsilon: f64,
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
        let layers = SwitchLoraConfig::new(None, SwitchSchedule::Never);
        let layers = layers.expect("the paper's settings are valid");
        Self {
            interval: 40.0,
            ratio: 0.1,
            fixed: false,
            freeze: layers.freeze,
            selection: layers.selection,
            sides: layers.sides,
            reset_moments: layers.reset_moments,
            reset_counts: layers.reset_counts,
            keep_second_moments: layers.keep_second_moments,
            warmup: layers.warmup,
            candidates: layers.candidates,
            orthogonal: false,
            init: layers.factors,
            zero_weight: layers.zero_weight,
            pools: layers.pools,
            pool_precision: layers.pool_precision,
            alpha: layers.alpha,
        }
    }
}

impl Default for ReLoraSettings {
    fn default() -> Self {
        let relora = ReLoraConfig::default();
        Self {
            cycle: None,
            restart_warmup: None,
            reset: relora.reset,
            keep: relora.keep,
            reset_counts: relora.reset_counts,
            alpha: 32.0,
        }
    }
}

impl Default for GaLoreSettings {
    fn default() -> Self {
        let galore = GaLoreConfig::new(1).expect("the authors' settings are valid");
        Self {
            gap: galore.gap,
            scale: galore.scale,
            bias_correction: galore.bias_correction,
            epsilon: galore.adamw.epsilon,
        }
    }
}
