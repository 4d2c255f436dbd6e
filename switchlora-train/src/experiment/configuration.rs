//! The experiment as the method configuration of `switchlora_core`.

use super::config::Experiment;
use switchlora_core::{
    AdamWConfig, ConfigError, FactorInit, GaLoreConfig, Method, MethodConfig, MuonConfig,
    ReLoraConfig, SwitchLoraConfig, SwitchSchedule,
};

impl Experiment {
    /// The method with all of its settings.
    pub(super) fn method_config(&self) -> Result<MethodConfig, ConfigError> {
        let (relora, galore) = (&self.relora, &self.galore);
        let config = MethodConfig {
            method: self.method,
            layers: self.layers(),
            relora: ReLoraConfig {
                cycle: self.cycle(),
                reset: relora.reset,
                keep: relora.keep,
                reset_counts: relora.reset_counts,
            },
            galore: GaLoreConfig {
                rank: self.rank.unwrap_or_default(),
                gap: galore.gap,
                scale: galore.scale,
                bias_correction: galore.bias_correction,
                adamw: AdamWConfig {
                    epsilon: galore.epsilon,
                    ..self.adamw
                },
            },
            muon: self.muon,
            layer_rate: self.layer_rate(),
        };
        config.validate()?;
        self.validate_others(&config)?;
        Ok(config)
    }

    /// Checks the settings of the other methods too: the experiment is stored with them, and one of them may be chosen next.
    fn validate_others(&self, config: &MethodConfig) -> Result<(), ConfigError> {
        let mut other = config.clone();
        other.galore.rank = other.galore.rank.max(1);
        other.layers.schedule = self.schedule();
        Method::ALL.into_iter().try_for_each(|method| {
            other.method = method;
            other.layers.alpha = self.alpha(method);
            other.layers.orthogonal = self.orthogonal(method);
            other.validate()
        })
    }

    /// The scale of the factors of a method, times the rank.
    fn alpha(&self, method: Method) -> f64 {
        match method {
            Method::ReLora => self.relora.alpha,
            _ => self.switch.alpha,
        }
    }

    /// Orthogonal steps of the factors of a method, if it has them: a restart of ReLoRA resets moments.
    fn orthogonal(&self, method: Method) -> Option<MuonConfig> {
        (self.switch.orthogonal && method != Method::ReLora).then_some(self.muon)
    }

    /// When vectors are switched, if they are.
    fn schedule(&self) -> SwitchSchedule {
        let switch = &self.switch;
        let total = self.steps - self.full_rank_updates();
        match switch.fixed {
            true => SwitchSchedule::fixed(switch.interval),
            false => SwitchSchedule::decaying(switch.interval, switch.ratio, total.max(1)),
        }
    }

    /// The learning rate of projections as a factor of the other's. Exactly 1 where they are equal.
    fn layer_rate(&self) -> f64 {
        match (self.projection_lr, self.lr) {
            (Some(projections), Some(rate)) => projections / rate,
            _ => 1.0,
        }
    }

    fn layers(&self) -> SwitchLoraConfig {
        let switch = &self.switch;
        SwitchLoraConfig {
            rank: self.rank.and_then(|rank| self.method.rank(rank)),
            alpha: self.alpha(self.method),
            schedule: match self.method.switches() {
                false => SwitchSchedule::Never,
                true => self.schedule(),
            },
            freeze: switch.freeze,
            selection: switch.selection,
            sides: switch.sides,
            reset_moments: switch.reset_moments,
            reset_counts: switch.reset_counts,
            keep_second_moments: switch.keep_second_moments,
            warmup: switch.warmup,
            candidates: switch.candidates,
            orthogonal: self.orthogonal(self.method),
            factors: self.factors(),
            zero_weight: switch.zero_weight && self.method.switches(),
            pools: switch.pools,
            pool_precision: switch.pool_precision,
            adamw: self.adamw,
            seed: self.seed,
            precision: self.precision,
            frozen: self.frozen,
        }
    }

    /// Initial distribution of the factors.
    fn factors(&self) -> FactorInit {
        match self.method.switches() {
            true => self.switch.init,
            false => self.method.factors(),
        }
    }

    /// Updates between two restarts of ReLoRA.
    pub(super) fn cycle(&self) -> u64 {
        self.relora.cycle.unwrap_or((self.steps / 4).max(1))
    }
}
