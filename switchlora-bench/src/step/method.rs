//! The methods that can be timed, as data.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use switchlora_core::{ConfigError, FactorInit, SwitchLoraConfig, SwitchSchedule};

/// Updates between two switches of one vector at the start of the paper's schedule.
const INTERVAL: f64 = 40.0;

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Every weight.
    Full,
    /// Low-rank factors.
    Lora,
    /// Low-rank factors whose vectors are switched.
    #[value(name = "switchlora")]
    SwitchLora,
}

impl From<switchlora_train::experiment::Method> for Method {
    fn from(method: switchlora_train::experiment::Method) -> Self {
        match method {
            switchlora_train::experiment::Method::Full => Self::Full,
            switchlora_train::experiment::Method::Lora => Self::Lora,
            switchlora_train::experiment::Method::SwitchLora => Self::SwitchLora,
        }
    }
}

impl Method {
    /// Its name on the command line and in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lora => "lora",
            Self::SwitchLora => "switchlora",
        }
    }

    /// How its factors start.
    pub(crate) fn factors(self) -> FactorInit {
        match self {
            Self::SwitchLora => FactorInit::SwitchLora,
            Self::Full | Self::Lora => FactorInit::Lora,
        }
    }

    /// The rank of its layers, when factors have the rank `rank`.
    pub(crate) fn rank(self, rank: usize) -> Option<usize> {
        match self {
            Self::Full => None,
            Self::Lora | Self::SwitchLora => Some(rank),
        }
    }

    /// The method without switches, and with them if it has any.
    pub(super) fn configs(
        self,
        rank: usize,
    ) -> Result<(SwitchLoraConfig, Option<SwitchLoraConfig>), ConfigError> {
        let config = |schedule| SwitchLoraConfig::new(self.rank(rank), schedule);
        let switching = match self {
            Self::SwitchLora => Some(config(SwitchSchedule::fixed(INTERVAL))?),
            Self::Full | Self::Lora => None,
        };
        Ok((config(SwitchSchedule::Never)?, switching))
    }
}
