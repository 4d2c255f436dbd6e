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
    /// A name for the folder of its results: `cuda-nvidia-h100-80gb-hbm3`.
    pub fn folder(&self) -> String {
        let words = format!("{} {}", self.backend, self.name).to_lowercase();
        let words = words.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        words.join("-")
    }

    /// Whether results of `other` belong in the same folder.
    pub fn is_same_device(&self, other: &Self) -> bool {
        let of = |card: &Self| {
            let driver = card.driver.clone();
            (
                card.backend.clone(),
                card.name.clone(),
                driver,
                card.program.clone(),
            )
        };
        of(self) == of(other)
    }

    /// The device, its driver and the program.
    pub(super) fn measured_by(&self) -> String {
        let driver = match &self.driver {
            Some(driver) => format!(" (driver {driver})"),
            None => String::new(),
        };
        format!(
            "{} on {}{driver} by version {}",
            self.backend, self.name, self.program
        )
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_after_its_device_in_letters_digits_and_dashes() {
        let card = Card {
            backend: "wgpu".to_owned(),
            name: "llvmpipe (LLVM 15.0.6, 256 bits)".to_owned(),
            ..Card::default()
        };
        assert_eq!(card.folder(), "wgpu-llvmpipe-llvm-15-0-6-256-bits");
    }
}
