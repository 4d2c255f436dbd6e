//! What the timing of one method gave.

use serde::Serialize;
use std::fmt;
use std::time::Duration;
use switchlora_train::experiment::Method;

/// Medians of one method, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Backend it ran on.
    pub backend: String,
    /// The method.
    pub method: Method,
    /// What the user calls the model.
    pub model: String,
    /// Rank of the factors, if there are any.
    pub rank: Option<usize>,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// Updates timed.
    pub updates: usize,
    /// From tokens to loss.
    pub forward_ms: f64,
    /// From loss to gradients.
    pub backward_ms: f64,
    /// Clipping and AdamW.
    pub optimizer_ms: f64,
    /// What switching adds to the optimizer.
    pub switch_ms: f64,
    /// The whole update, switches included.
    pub update_ms: f64,
    /// Tokens trained in a second of such updates.
    pub tokens_per_second: f64,
    /// Vectors switched in an update, both sides of all layers, on average.
    pub switches: f64,
}

/// Rounded to a microsecond.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Reports as a table of aligned columns, for people.
pub struct Table<'a>(pub &'a [StepReport]);

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
            "{:<12}{:>6}{:>10}{:>10}{:>11}{:>9}{:>10}{:>11}",
            "method", "rank", "forward", "backward", "optimizer", "switch", "update", "tokens/s",
        )?;
        for row in self.0 {
            let rank = row.rank.map_or("-".to_owned(), |rank| rank.to_string());
            write!(
                f,
                "\n{:<12}{:>6}{:>10.2}{:>10.2}{:>11.2}{:>9.2}{:>10.2}{:>11.0}",
                row.method.name(),
                rank,
                row.forward_ms,
                row.backward_ms,
                row.optimizer_ms,
                row.switch_ms,
                row.update_ms,
                row.tokens_per_second,
            )?;
        }
        Ok(())
    }
}
