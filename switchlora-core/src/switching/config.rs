//! One configuration for layers and optimizer. What belongs to a layer (rank, scale, precision) the optimizer takes from
//! the layer; what belongs to the training (schedule, freeze, AdamW) from here.

use super::origin::Candidates;
use super::schedule::SwitchSchedule;
use super::walk::{Selection, Sides};
use crate::config_error::{ConfigError, in_range};
use crate::linear::{FactorInit, SwitchLoraLinearConfig, validate_alpha};
use crate::step::{AdamWConfig, MuonConfig, PoolPlacement, PoolPrecision};
use serde::{Deserialize, Serialize};
use switchlora_ops::Precision;

/// `N`: updates for which the gradient of a switched vector's counterpart counts as zero (Section 3.2).
pub const FREEZE: u32 = 5;

/// The whole method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwitchLoraConfig {
    /// Rank `r` of the layers made by [`linear`](Self::linear); none for full-rank training.
    ///
    /// Where vectors are switched, it is below the shorter side of each layer, else no vector is left to switch with. With
    /// a rank of 1 nothing switches either, unless one [side](Self::sides) switches alone: the only vector of a side is the
    /// counterpart of the other side's.
    pub rank: Option<usize>,
    /// `alpha`; the scale of the layers made by [`linear`](Self::linear) is `alpha / rank`.
    pub alpha: f64,
    /// When vectors are switched.
    pub schedule: SwitchSchedule,
    /// `N`, updates for which the gradient of a switched vector's counterpart counts as zero. It does not move then, unless its
    /// moments [stay](Self::reset_moments).
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
    /// Whether the second moment and the step count of a switched vector's counterpart stay in any case, so that at most
    /// its first moment is reset. The size of its steps is then known, and they grow as the first moment does.
    #[serde(default)]
    pub keep_second_moments: bool,
    /// Updates over which the learning rate of a switched vector's counterpart rises from zero, counted from the
    /// switch; 0 for none. It goes by the step count, so it needs [`reset_counts`](Self::reset_counts), and is refused with
    /// [`keep_second_moments`](Self::keep_second_moments).
    #[serde(default)]
    pub warmup: u32,
    /// Where the vectors that a switch brings in come from.
    #[serde(default)]
    pub candidates: Candidates,
    /// Orthogonal steps for the factors, with these settings, in place of AdamW's. A velocity is reset where the
    /// moments would be; there are no second moments and no step counts. What goes by them is refused: a warmup, selection by
    /// gain, candidates by the gradient.
    #[serde(default)]
    pub orthogonal: Option<MuonConfig>,
    /// How the factors start, and the distribution of the spare vectors: with plain LoRA's, those of B are zero too.
    #[serde(default)]
    pub factors: FactorInit,
    /// Whether the frozen weight starts at zero, so that the layer starts as `s AᵀB` alone.
    #[serde(default)]
    pub zero_weight: bool,
    /// Where the spare vectors are kept.
    pub pools: PoolPlacement,
    /// In how many bits the numbers of the spare vectors are kept. In fewer than 32 they are rounded; a switch is as exact as
    /// ever, since the weight absorbs the values that enter. bf16 on the device needs a backend that has it.
    #[serde(default)]
    pub pool_precision: PoolPrecision,
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
            keep_second_moments: false,
            warmup: 0,
            candidates: Candidates::default(),
            orthogonal: None,
            factors: FactorInit::default(),
            zero_weight: false,
            pools: PoolPlacement::default(),
            pool_precision: PoolPrecision::default(),
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
        let least = 2 * u64::from(self.freeze);
        if let Some(interval) = self.schedule.interval() {
            let expected = "a finite number of updates; use LoRA to switch nothing";
            in_range("interval", interval, interval.is_finite(), expected)?;
            if interval < least.max(1) as f64 {
                return Err(ConfigError::ShortInterval { interval, least });
            }
        }
        if let SwitchSchedule::Decaying { ratio, total, .. } = self.schedule {
            let positive = ratio.is_finite() && ratio > 0.0;
            in_range("ratio", ratio, positive, "more than 0 and finite")?;
            in_range("total", total as f64, total > 0, "at least 1 update")?;
        }
        self.validate_together()?;
        validate_alpha(self.alpha)?;
        if let Some(orthogonal) = &self.orthogonal {
            orthogonal.validate()?;
        }
        self.adamw.validate()
    }

    /// Refuses settings that would be ignored because of others.
    fn validate_together(&self) -> Result<(), ConfigError> {
        let orthogonal = (
            "orthogonal",
            "orthogonal steps have a velocity, and no moments",
        );
        let kept = ("keep_second_moments", "the step counts stay too");
        let counts = ("reset_counts = false", "no step count starts again");
        let gain = self.selection == Selection::Gain;
        let gradient = self.candidates == Candidates::Gradient;
        let warmup = self.warmup > 0;
        let steps = self.orthogonal.is_some();
        let wrong = [
            (gain && steps, "selection = gain", orthogonal),
            (gradient && steps, "candidates = gradient", orthogonal),
            (warmup && steps, "warmup", orthogonal),
            (warmup && self.keep_second_moments, "warmup", kept),
            (warmup && !self.reset_counts, "warmup", counts),
        ];
        match wrong.into_iter().find(|(holds, ..)| *holds) {
            None => Ok(()),
            Some((_, setting, (with, reason))) => Err(ConfigError::Together {
                setting,
                with,
                reason,
            }),
        }
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
        for change in [
            (|config| config.selection = Selection::Gain) as fn(&mut SwitchLoraConfig),
            |config| config.candidates = Candidates::Gradient,
            |config| config.warmup = 3,
        ] {
            let mut config = SwitchLoraConfig::new(Some(8), schedule).unwrap();
            change(&mut config);
            assert_eq!(config.validate(), Ok(()));
            config.orthogonal = Some(MuonConfig::default());
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains("means nothing with orthogonal"), "{error}");
        }
        let mut config = SwitchLoraConfig::new(Some(8), schedule).unwrap();
        (config.warmup, config.reset_counts) = (3, false);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("means nothing with reset_counts"), "{error}");
        for interval in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            let error = wrong(None, SwitchSchedule::fixed(interval)).to_string();
            assert!(error.contains("interval"), "{error}");
        }
    }
}
