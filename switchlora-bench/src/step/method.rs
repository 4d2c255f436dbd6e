//! The methods as they are timed: without switches, and switching as often as they ever do.

use switchlora_core::{
    Algorithm, ConfigError, GaLoreConfig, ReLoraConfig, SwitchLoraConfig, SwitchSchedule,
};
use switchlora_train::experiment::Method;

/// Updates between two switches of one vector at the start of the paper's schedule.
pub(super) const INTERVAL: f64 = 40.0;

/// The schedule with which a method switches most often.
pub(crate) fn busiest(method: Method) -> SwitchSchedule {
    match method {
        Method::SwitchLora => SwitchSchedule::fixed(INTERVAL),
        Method::Full | Method::Lora | Method::ReLora | Method::GaLore => SwitchSchedule::Never,
    }
}

/// What an update does besides AdamW. One of ReLoRA here never restarts, and GaLore's projection falls into the warm-up: both
/// come once in hundreds of updates.
pub(crate) fn algorithm(method: Method, rank: usize) -> Result<Algorithm, ConfigError> {
    Ok(match method {
        Method::Full | Method::Lora | Method::SwitchLora => Algorithm::SwitchLora,
        Method::ReLora => Algorithm::ReLora(ReLoraConfig::new(u64::MAX)?),
        Method::GaLore => Algorithm::GaLore(GaLoreConfig::new(rank)?),
    })
}

/// The method without switches, and with them if it has any.
pub(super) fn configs(
    method: Method,
    rank: usize,
) -> Result<(SwitchLoraConfig, Option<SwitchLoraConfig>), ConfigError> {
    let config = |schedule| SwitchLoraConfig::new(method.rank(rank), schedule);
    let switching = match busiest(method) {
        SwitchSchedule::Never => None,
        schedule => Some(config(schedule)?),
    };
    Ok((config(SwitchSchedule::Never)?, switching))
}
