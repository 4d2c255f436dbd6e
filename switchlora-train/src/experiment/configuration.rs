//! The experiment as the configurations of `switchlora_core`.

use super::config::Experiment;
use super::method::Method;
use switchlora_core::{
    Algorithm, ConfigError, FactorInit, GaLoreConfig, ReLoraConfig, SwitchLoraConfig,
    SwitchSchedule,
};

impl Experiment {
    /// The configuration of layers and AdamW.
    pub(super) fn layers(&self) -> Result<SwitchLoraConfig, ConfigError> {
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
            precision: self.precision,
            frozen: self.frozen,
        };
        config.validate().map(|()| config)
    }

    /// Initial distribution of the factors.
    fn factors(&self) -> FactorInit {
        match self.method {
            Method::SwitchLora => self.switch.init,
            method => method.factors(),
        }
    }

    /// Updates between two restarts of ReLoRA.
    pub(super) fn cycle(&self) -> u64 {
        self.relora.cycle.unwrap_or((self.steps / 4).max(1))
    }

    /// What an update does besides AdamW.
    ///
    /// # Errors
    ///
    /// The first value that is out of its range.
    pub fn algorithm(&self) -> Result<Algorithm, ConfigError> {
        let (relora, galore) = (&self.relora, &self.galore);
        match self.method {
            Method::Full | Method::Lora | Method::SwitchLora => Ok(Algorithm::SwitchLora),
            Method::ReLora => {
                let config = ReLoraConfig {
                    cycle: self.cycle(),
                    reset: relora.reset,
                    keep: relora.keep,
                    reset_counts: relora.reset_counts,
                };
                config.validate().map(|()| Algorithm::ReLora(config))
            }
            Method::GaLore => {
                let config = GaLoreConfig {
                    rank: self.rank.unwrap_or_default(),
                    gap: galore.gap,
                    scale: galore.scale,
                    bias_correction: galore.bias_correction,
                    beta_1: self.adamw.beta_1,
                    beta_2: self.adamw.beta_2,
                    epsilon: galore.epsilon,
                    weight_decay: self.adamw.weight_decay,
                };
                config.validate().map(|()| Algorithm::GaLore(config))
            }
        }
    }
}
