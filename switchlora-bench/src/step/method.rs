//! The methods as they are timed: without switches, and switching as often as they ever do.

use switchlora_core::{ConfigError, SwitchLoraConfig, SwitchSchedule};
use switchlora_train::experiment::Method;

/// Updates between two switches of one vector at the start of the paper's schedule.
pub(super) const INTERVAL: f64 = 40.0;

/// The schedule with which a method switches most often.
pub(crate) fn busiest(method: Method) -> SwitchSchedule {
    match method {
        Method::SwitchLora => SwitchSchedule::fixed(INTERVAL),
        Method::Full | Method::Lora => SwitchSchedule::Never,
    }
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
