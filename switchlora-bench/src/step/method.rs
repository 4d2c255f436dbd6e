//! The methods as they are timed: without switches, and switching as often as they ever do.

use switchlora_core::{ConfigError, Method, MethodConfig, ReLoraConfig, SwitchSchedule};

/// Updates between two switches of one vector at the start of the paper's schedule.
pub(super) const INTERVAL: f64 = 40.0;

/// Learning rate of every update.
pub(super) const LEARNING_RATE: f64 = 1e-3;

/// A method at its busiest: SwitchLoRA with the switching frequency of its start.
///
/// ReLoRA never restarts here, and GaLore's projections fall into the warm-up: both come once in hundreds of updates.
pub(crate) fn timed(method: Method, rank: usize) -> Result<MethodConfig, ConfigError> {
    let config = MethodConfig::new(method, rank, SwitchSchedule::fixed(INTERVAL))?;
    Ok(MethodConfig {
        relora: ReLoraConfig::new(u64::MAX)?,
        ..config
    })
}

/// The same method without switches; `None` if it never switches.
pub(super) fn steady(config: &MethodConfig) -> Option<MethodConfig> {
    config.method.switches().then(|| {
        let mut steady = config.clone();
        steady.layers.schedule = SwitchSchedule::Never;
        steady
    })
}
