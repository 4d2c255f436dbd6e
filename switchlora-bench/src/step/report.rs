//! The times of one method, and their table.

use super::bench::StepBench;
use serde::Serialize;
use std::fmt;
use switchlora_train::experiment::Method;

/// What reports call it in the place of a backend.
pub const PEER: &str = "pytorch";

/// Medians of one method.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Backend it ran on, or [`PEER`].
    pub backend: String,
    /// The method.
    pub method: Method,
    /// Preset or file of the model, as the user named it.
    pub model: String,
    /// Rank of the factors, if there are any.
    pub rank: Option<usize>,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// Number of timed updates.
    pub updates: usize,
    /// Milliseconds from tokens to loss.
    pub forward_ms: f64,
    /// Milliseconds from loss to gradients.
    pub backward_ms: f64,
    /// Milliseconds of clipping and AdamW.
    pub optimizer_ms: f64,
    /// Milliseconds that switching adds to the optimizer.
    pub switch_ms: f64,
    /// Milliseconds of the whole update, switches included. On a device that computes later it waits at its end alone, so
    /// that it takes less than its phases together.
    pub update_ms: f64,
    /// Milliseconds of the whole update in which the host was busy; 0 on a device that computes at once.
    pub host_ms: f64,
    /// Throughput in tokens per second.
    pub tokens_per_second: f64,
    /// Average number of LoRA vectors switched in an update, both sides of all layers.
    pub switches: f64,
}

impl StepReport {
    /// A report without times.
    pub(super) fn of(bench: &StepBench, backend: &str, method: Method) -> Self {
        Self {
            backend: backend.to_owned(),
            method,
            model: bench.model.clone(),
            rank: method.rank(bench.rank),
            batch_size: bench.batch_size,
            sequence_length: bench.sequence_length,
            updates: bench.updates,
            forward_ms: 0.0,
            backward_ms: 0.0,
            optimizer_ms: 0.0,
            switch_ms: 0.0,
            update_ms: 0.0,
            host_ms: 0.0,
            tokens_per_second: 0.0,
            switches: 0.0,
        }
    }
}

/// Milliseconds rounded to a microsecond.
pub(super) fn microseconds(milliseconds: f64) -> f64 {
    (milliseconds * 1e3).round() / 1e3
}

/// A table of aligned columns for a person, with the ratio of each update to full-rank training and to PyTorch.
pub struct Table<'a>(pub &'a [StepReport]);

impl Table<'_> {
    /// The time of an update divided by that of the row that `is_other` picks.
    fn ratio(&self, row: &StepReport, is_other: impl Fn(&StepReport) -> bool) -> String {
        match self.0.iter().find(|other| is_other(other)) {
            Some(other) => format!("{:.2}", row.update_ms / other.update_ms.max(1e-9)),
            None => "-".to_owned(),
        }
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else {
            return Ok(());
        };
        writeln!(
            f,
            "one update on {}: model {}, {} x {} tokens, median of {} updates, milliseconds",
            first.backend, first.model, first.batch_size, first.sequence_length, first.updates,
        )?;
        write!(
            f,
            "{:<9}{:<12}{:>5}{:>10}{:>10}{:>11}{:>8}{:>10}{:>10}{:>9}{:>11}",
            "on",
            "method",
            "rank",
            "forward",
            "backward",
            "optimizer",
            "switch",
            "update",
            "tokens/s",
            "to full",
            "to pytorch",
        )?;
        for row in self.0 {
            let rank = row.rank.map_or("-".to_owned(), |rank| rank.to_string());
            let to_full = self.ratio(row, |other| {
                other.backend == row.backend && other.method == Method::Full
            });
            let to_peer = self.ratio(row, |other| {
                other.backend == PEER && other.method == row.method
            });
            write!(
                f,
                "\n{:<9}{:<12}{:>5}{:>10.2}{:>10.2}{:>11.2}{:>8.2}{:>10.2}{:>10.0}{:>9}{:>11}",
                row.backend,
                row.method.name(),
                rank,
                row.forward_ms,
                row.backward_ms,
                row.optimizer_ms,
                row.switch_ms,
                row.update_ms,
                row.tokens_per_second,
                to_full,
                to_peer,
            )?;
        }
        Ok(())
    }
}
