//! Experiments: every choice of a run, from flags and TOML files, and what follows from them.
//!
//! `config.toml` of a run directory holds its resolved experiment.

mod config;
mod configuration;
mod differences;
mod error;
pub mod flags;
mod form;
mod learning_rate;
mod paths;
mod read;
mod remarks;
mod resolve;
mod settings;
mod sizes;
mod task;
#[cfg(test)]
mod tests;
mod values;
mod warm_start;

pub use config::Experiment;
pub use differences::{Change, Difference};
pub use error::ExperimentError;
pub use learning_rate::{LearningRateSchedule, RateRestarts};
pub use read::overlaid;
pub use settings::{Decay, GaLoreSettings, ReLoraSettings, ScheduleSettings, SwitchSettings};
pub use switchlora_core::{Method, Precision};
pub use task::{TaskName, TaskSettings, UnknownTask};
pub use warm_start::WarmStart;
