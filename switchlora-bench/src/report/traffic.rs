//! Traffic of a data-parallel update: its share of full-rank training and its chart.

use super::chart::{Bar, Bars, Figure};
use super::number::{Bytes, Number};
use super::rows::{groups, ranked};
use crate::results::CommunicationRow;

/// The rows of each model.
pub fn models(rows: &[CommunicationRow]) -> Vec<(String, Vec<&CommunicationRow>)> {
    groups(rows, |row| row.model.clone())
}

impl CommunicationRow {
    /// The share of full-rank training, in percent.
    pub(super) fn full_percent(&self) -> String {
        (self.to_full * 100.0).fixed(1)
    }
}

/// Gradients of each method.
pub fn chart(model: &str, rows: &[&CommunicationRow]) -> Option<Figure> {
    let bar = |row: &&CommunicationRow| Bar {
        name: ranked(&row.method, row.rank),
        parts: vec![row.gradient_bytes.mebibytes()],
        tick: None,
        end: format!("{} %", row.full_percent()),
    };
    Bars {
        caption: format!(
            "Computed traffic of an update, model {model}, and its share of full-rank training"
        ),
        axis: "gradients (MiB)",
        parts: &["gradients"],
        tick: None,
        bars: rows.iter().map(bar).collect(),
    }
    .figure()
}
