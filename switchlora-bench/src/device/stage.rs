//! The stages of a device's measurement, most telling first.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Whether it computes what a CPU computes
    Correct,
    /// Time of an update, and the largest kernels
    Speed,
    /// The same updates in PyTorch on the same device
    Peer,
    /// Memory of a training, and the largest batch
    Memory,
    /// A short training of each method
    Learn,
    /// Sizes at which one variant of a kernel is preferred to another
    Tune,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 6] = [
        Self::Correct,
        Self::Speed,
        Self::Peer,
        Self::Memory,
        Self::Learn,
        Self::Tune,
    ];

    /// The name in flags, folders and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Speed => "speed",
            Self::Peer => "peer",
            Self::Memory => "memory",
            Self::Learn => "learn",
            Self::Tune => "tune",
        }
    }

    /// The share of the time, if every stage runs. What a stage leaves over goes to those after it.
    pub(super) const fn share(self) -> f64 {
        match self {
            Self::Correct => 0.2,
            Self::Speed => 0.3,
            Self::Peer => 0.2,
            Self::Memory => 0.15,
            Self::Learn => 0.1,
            Self::Tune => 0.05,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
