//! The configurations to time: each method at its highest switching frequency, and without switches.

use switchlora_core::cost::ModelShape;
use switchlora_core::{ConfigError, Method, MethodConfig, ReLoraConfig, SwitchSchedule};

/// Updates between two switches of one vector at the start of the paper's schedule.
pub(super) const INTERVAL: f64 = 40.0;

/// Learning rate of every update.
pub(super) const LEARNING_RATE: f64 = 1e-3;

/// The configuration of a method at its highest cost per update: SwitchLoRA with the switching frequency of its start.
///
/// ReLoRA never restarts, and GaLore computes its projections during the warm-up, because both happen once in hundreds
/// of updates.
///
/// # Errors
///
/// The rank does not fit the method or the layers of `model`.
pub(crate) fn timed(
    method: Method,
    rank: usize,
    model: &ModelShape,
) -> Result<MethodConfig, ConfigError> {
    let config = MethodConfig::new(method, rank, SwitchSchedule::fixed(INTERVAL))?;
    config.validate_for(model)?;
    Ok(MethodConfig {
        relora: ReLoraConfig::new(u64::MAX)?,
        ..config
    })
}

/// The same configuration without switches; `None` if the method never switches.
pub(super) fn steady(config: &MethodConfig) -> Option<MethodConfig> {
    config.method.switches().then(|| {
        let mut steady = config.clone();
        steady.layers.schedule = SwitchSchedule::Never;
        steady
    })
}
