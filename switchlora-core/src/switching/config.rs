//! One configuration for layers and optimizer, so that scale, rank and freeze cannot disagree.

use super::schedule::SwitchSchedule;
use super::walk::{Selection, Sides};
use crate::linear::{FactorInit, SwitchLoraLinearConfig};
use crate::step::{AdamWConfig, PoolPlacement};
use serde::{Deserialize, Serialize};
use switchlora_ops::Precision;

/// `N`: updates for which the counterpart of a switched vector does not move (Section 3.2).
pub const FREEZE: u32 = 5;

/// The whole method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwitchLoraConfig {
    /// Rank `r` of the layers made by [`linear`](Self::linear); none for full-rank training.
    pub rank: Option<usize>,
    /// `alpha`; the scale of a layer is `alpha / rank`.
    pub alpha: f64,
    /// When vectors are switched.
    pub schedule: SwitchSchedule,
    /// `N`, updates for which the counterpart of a switched vector does not move.
    pub freeze: u32,
    /// Which vectors are switched.
    pub selection: Selection,
    /// Which sides switch.
    #[serde(default)]
    pub sides: Sides,
    /// Whether the moments of a switched vector's counterpart become zero.
    #[serde(default = "yes")]
    pub reset_moments: bool,
    /// Whether the step count of a switched vector's counterpart becomes zero.
    #[serde(default = "yes")]
    pub reset_counts: bool,
    /// How the factors start, and the distribution of the spare vectors: with plain LoRA's, those of B are zero too.
    #[serde(default)]
    pub factors: FactorInit,
    /// Whether the frozen weight starts at zero, so that the layer starts as `s AᵀB` alone.
    #[serde(default)]
    pub zero_weight: bool,
    /// Where the spare vectors are kept.
    pub pools: PoolPlacement,
    /// The constants of AdamW.
    #[serde(flatten)]
    pub adamw: AdamWConfig,
    /// Seed of the candidates and of the switches.
    pub seed: u64,
    /// Precision of the layers' matrix products.
    #[serde(default)]
    pub precision: Precision,
    /// Dtype of the frozen weights in memory; everything that is trained is f32.
    ///
    /// In bf16 they take half the memory. Each switch then rounds the changed weight to 8 bits of mantissa, and the network's
    /// output changes by that rounding.
    #[serde(default)]
    pub frozen: Precision,
}

/// What is wrong with a [`SwitchLoraConfig`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A rank of 0 has no vectors to train.
    #[error("rank is 0: give a rank of at least 1, or none for full-rank training")]
    ZeroRank,
    /// A vector could be switched out while it is still frozen.
    #[error(
        "switch interval {interval} is below 2 N = {least}: a vector would be switched while its counterpart is frozen; \
         raise the interval or lower N (freeze)"
    )]
    ShortInterval {
        /// The interval given.
        interval: f64,
        /// The shortest allowed.
        least: u32,
    },
    /// A number outside its range.
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// Name of the field.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
}

impl SwitchLoraConfig {
    /// The paper's settings: `alpha = 1`, `N = 5`, AdamW with betas 0.9 and 0.999, no decay, contiguous selection.
    ///
    /// # Errors
    ///
    /// A rank of 0, or an interval below `2 N`.
    pub fn new(rank: Option<usize>, schedule: SwitchSchedule) -> Result<Self, ConfigError> {
        let config = Self {
            rank,
            alpha: 1.0,
            schedule,
            freeze: FREEZE,
            selection: Selection::default(),
            sides: Sides::default(),
            reset_moments: true,
            reset_counts: true,
            factors: FactorInit::default(),
            zero_weight: false,
            pools: PoolPlacement::default(),
            adamw: AdamWConfig::default(),
            seed: 0,
            precision: Precision::default(),
            frozen: Precision::default(),
        };
        config.validate().map(|()| config)
    }

    /// Checks every field, as after reading a configuration from a file.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.rank == Some(0) {
            return Err(ConfigError::ZeroRank);
        }
        let least = 2 * self.freeze;
        if let Some(interval) = self.schedule.interval()
            && (interval.is_nan() || interval < f64::from(least.max(1)))
        {
            return Err(ConfigError::ShortInterval { interval, least });
        }
        if let SwitchSchedule::Decaying { ratio, total, .. } = self.schedule {
            in_range("ratio", ratio, ratio > 0.0, "more than 0")?;
            in_range("total", total as f64, total > 0, "at least 1 update")?;
        }
        let alpha = self.alpha;
        in_range("alpha", alpha, alpha.is_finite(), "a finite number")?;
        validate_adamw(&self.adamw)
    }

    /// Configuration of a layer of this method; add a bias or an initializer with its own builders.
    pub fn linear(&self, d_input: usize, d_output: usize) -> SwitchLoraLinearConfig {
        SwitchLoraLinearConfig::new(d_input, d_output)
            .with_rank(self.rank)
            .with_alpha(self.alpha)
            .with_factors(self.factors)
            .with_zero_weight(self.zero_weight)
            .with_precision(self.precision)
            .with_frozen(self.frozen)
    }
}

fn yes() -> bool {
    true
}

/// Checks the constants of AdamW.
pub(crate) fn validate_adamw(adamw: &AdamWConfig) -> Result<(), ConfigError> {
    let (beta_1, beta_2) = (adamw.beta_1, adamw.beta_2);
    let (epsilon, decay) = (adamw.epsilon, adamw.weight_decay);
    let moment = |beta: f64| (0.0..1.0).contains(&beta);
    in_range("beta_1", beta_1, moment(beta_1), "0 to 1")?;
    in_range("beta_2", beta_2, moment(beta_2), "0 to 1")?;
    in_range("epsilon", epsilon, epsilon > 0.0, "more than 0")?;
    in_range("weight_decay", decay, decay >= 0.0, "at least 0")
}

/// An error that names the field if `holds` is false.
pub(crate) fn in_range(
    name: &'static str,
    value: f64,
    holds: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    match holds {
        true => Ok(()),
        false => Err(ConfigError::OutOfRange {
            name,
            value,
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_defaults_are_valid_and_each_wrong_field_is_named() {
        let schedule = SwitchSchedule::decaying(40.0, 0.1, 100);
        assert!(SwitchLoraConfig::new(Some(8), schedule).is_ok());
        let wrong = |rank, schedule| SwitchLoraConfig::new(rank, schedule).unwrap_err();
        assert_eq!(wrong(Some(0), schedule), ConfigError::ZeroRank);
        let short = wrong(Some(8), SwitchSchedule::fixed(9.9));
        assert!(short.to_string().contains("2 N = 10"), "{short}");
        assert!(SwitchLoraConfig::new(Some(8), SwitchSchedule::fixed(10.0)).is_ok());
        let ratio = wrong(None, SwitchSchedule::decaying(40.0, 0.0, 100));
        assert!(ratio.to_string().contains("ratio"), "{ratio}");
        assert!(
            wrong(None, SwitchSchedule::fixed(f64::NAN))
                .to_string()
                .contains("interval")
        );
    }
}
