//! The machine and the card of a measurement.

use crate::results::Machine;
use crate::suites::machine;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use std::fmt;
use switchlora_train::backend::{BackendKind, device_names, nvidia_card};

/// The card that a device's results are of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Backend.
    pub backend: String,
    /// Name of the card, or of the processor.
    pub name: String,
    /// Version of the driver, if the driver says it.
    pub driver: Option<String>,
    /// Memory of the card in bytes, if the driver says it.
    pub memory_bytes: Option<u64>,
    /// Day of the measurement, year-month-day, UTC.
    pub date: String,
    /// Version of this program.
    pub program: String,
    /// The machine around it.
    pub machine: Machine,
}

impl Card {
    /// The first device of `backend`.
    pub fn of(backend: BackendKind) -> Self {
        let nvidia = match backend {
            BackendKind::Cuda => nvidia_card(0),
            _ => None,
        };
        let (name, driver, memory_bytes) = match nvidia {
            Some(card) => (card.name, Some(card.driver), Some(card.memory_bytes)),
            None => {
                let first = device_names(backend).into_iter().next();
                (first.unwrap_or_default(), None, None)
            }
        };
        Self {
            backend: backend.name().to_owned(),
            name,
            driver,
            memory_bytes,
            date: Utc::now().format("%Y-%m-%d").to_string(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            machine: machine::this(),
        }
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.backend, self.name)?;
        if let Some(driver) = &self.driver {
            write!(f, ", driver {driver}")?;
        }
        if let Some(memory) = self.memory_bytes {
            write!(f, ", {} GiB", memory >> 30)?;
        }
        write!(f, "; {}", self.date)
    }
}
