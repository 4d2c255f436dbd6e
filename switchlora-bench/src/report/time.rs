//! Time of an update: its ratios and its chart.

use super::chart::{Bar, Bars, Figure};
use super::number::{Number, percent};
use super::rows::{groups, ranked};
use crate::results::StepRow;

/// The rows of each model, precision and batch.
pub fn workloads(rows: &[StepRow]) -> Vec<(String, Vec<&StepRow>)> {
    groups(rows, |row| {
        let (batch, length) = (row.batch_size, row.sequence_length);
        format!(
            "{}, {}, {batch} x {length} tokens",
            row.model, row.precision
        )
    })
}

/// The rows of each backend.
pub fn backends<'a>(rows: &[&'a StepRow]) -> Vec<(String, Vec<&'a StepRow>)> {
    groups(rows.iter().copied(), |row| row.backend.clone())
}

/// The number of timed updates.
pub fn updates(rows: &[&StepRow]) -> String {
    let counts = rows.iter().map(|row| row.updates);
    match (counts.clone().min(), counts.max()) {
        (Some(1), Some(1)) => "1 update".to_owned(),
        (Some(least), Some(most)) if least < most => format!("{least} to {most} updates"),
        (_, most) => format!("{} updates", most.unwrap_or(0)),
    }
}

impl StepRow {
    /// The time of an update divided by that of full-rank training in the same table.
    pub(super) fn to_full(&self, rows: &[&StepRow]) -> Option<f64> {
        let full = rows.iter().find(|row| row.method == "full")?.update_ms;
        (full > 0.0).then(|| self.update_ms / full)
    }

    /// The share of switching in the time of an update, in percent.
    pub(super) fn switch_percent(&self) -> Option<f64> {
        percent(self.switch_ms, self.update_ms)
    }

    /// The least time of the matrix products divided by the time of the update, in percent.
    pub(crate) fn floor_percent(&self) -> Option<f64> {
        let floor_ms = percent(self.gmacs, self.peak_gmacs_per_second)? * 10.0;
        percent(floor_ms, self.update_ms)
    }
}

/// The phases of an update of each method.
pub fn chart(backend: &str, workload: &str, rows: &[&StepRow]) -> Option<Figure> {
    let bar = |row: &&StepRow| Bar {
        name: format!("{}, {}", row.backend, ranked(&row.method, row.rank)),
        parts: vec![
            row.forward_ms,
            row.backward_ms,
            row.optimizer_ms,
            row.switch_ms,
        ],
        tick: None,
        end: row.update_ms.fixed(2),
    };
    Bars {
        caption: format!("Time of an update, {backend}: {workload}"),
        axis: "time (ms)",
        parts: &["forward", "backward", "optimizer", "switch"],
        tick: None,
        bars: rows.iter().map(bar).collect(),
    }
    .figure()
}

#[cfg(test)]
mod tests {
    use crate::report::example::step;

    #[test]
    fn a_method_is_compared_with_full_rank_of_its_own_table() {
        let (full, lora) = (step("flex", "full", 40.0), step("flex", "lora", 20.0));
        assert_eq!(lora.to_full(&[&full, &lora]), Some(0.5));
        assert_eq!(lora.to_full(&[&lora]), None);
    }

    #[test]
    fn the_floor_is_the_time_of_the_products_alone() {
        let mut row = step("flex", "full", 40.0);
        (row.gmacs, row.peak_gmacs_per_second) = (1.0, 100.0);
        assert_eq!(row.floor_percent(), Some(25.0));
        row.peak_gmacs_per_second = 0.0;
        assert_eq!(row.floor_percent(), None);
    }
}
