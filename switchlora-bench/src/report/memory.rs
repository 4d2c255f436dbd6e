//! Memory of a training: the difference between prediction and measurement, and its chart.

use super::chart::{Bar, Bars, Figure};
use super::number::{Bytes, NONE, Number};
use super::rows::{groups, ranked};
use crate::results::MemoryRow;

/// The rows of each model.
pub fn models(rows: &[MemoryRow]) -> Vec<(String, Vec<&MemoryRow>)> {
    groups(rows, |row| row.model.clone())
}

impl MemoryRow {
    /// What stays between two updates according to the plan, in MiB.
    pub(super) fn predicted(&self) -> f64 {
        self.weights.mebibytes() + self.moments.mebibytes() + self.candidates.mebibytes()
    }

    /// What was measured between two updates, in MiB.
    pub(super) fn state(&self) -> Option<f64> {
        measured(self.measured_state)
    }

    /// The most that was measured, in MiB.
    pub(super) fn peak(&self) -> Option<f64> {
        measured(self.measured_peak)
    }

    /// The most at any time according to the plan, in MiB.
    pub(super) fn predicted_peak(&self) -> Option<f64> {
        measured(self.predicted_peak)
    }

    /// How much more state was measured than predicted, in percent, with its sign.
    pub(super) fn difference(&self) -> String {
        difference(self.state(), Some(self.predicted()))
    }

    /// The same of the peak.
    pub(super) fn peak_difference(&self) -> String {
        difference(self.peak(), self.predicted_peak())
    }
}

fn difference(measured: Option<f64>, predicted: Option<f64>) -> String {
    match (measured, predicted) {
        (Some(measured), Some(predicted)) if predicted > 0.0 => {
            match (measured / predicted - 1.0) * 100.0 {
                more if more > 0.0 => format!("+{}", more.fixed(1)),
                less => less.fixed(1),
            }
        }
        _ => NONE.to_owned(),
    }
}

/// In MiB. No training takes 0 bytes: that is no measurement.
fn measured(bytes: u64) -> Option<f64> {
    (bytes > 0).then(|| bytes.mebibytes())
}

/// Predicted memory of each training, a tick at its measured state.
pub fn chart(model: &str, rows: &[&MemoryRow]) -> Option<Figure> {
    let bar = |row: &&MemoryRow| Bar {
        name: format!("{}, {}", row.backend, ranked(&row.method, row.rank)),
        parts: [row.weights, row.moments, row.candidates, row.gradients]
            .map(|bytes| bytes.mebibytes())
            .to_vec(),
        tick: row.state(),
        end: String::new(),
    };
    Bars {
        caption: format!(
            "Predicted memory, model {model}. The tick is the measured state, to compare with the start of the gradients."
        ),
        axis: "memory (MiB)",
        parts: &["weights", "moments", "candidates", "gradients"],
        tick: Some("measured state"),
        bars: rows.iter().map(bar).collect(),
    }
    .figure()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::memory;

    #[test]
    fn the_difference_is_of_the_state_without_gradients() {
        let mut row = memory("flex", "lora");
        (row.weights, row.moments, row.candidates) = (50, 30, 20);
        row.measured_state = 110;
        assert_eq!(row.difference(), "+10.0");
        row.measured_state = 90;
        assert_eq!(row.difference(), "-10.0");
    }

    #[test]
    fn a_peak_that_was_not_predicted_has_no_difference() {
        let mut row = memory("flex", "lora");
        (row.measured_peak, row.predicted_peak) = (300, 200);
        assert_eq!(row.peak_difference(), "+50.0");
        row.predicted_peak = 0;
        assert_eq!(row.peak_difference(), NONE);
    }

    #[test]
    fn no_bytes_are_no_measurement() {
        let mut row = memory("flex", "lora");
        row.measured_state = 0;
        assert_eq!(row.difference(), NONE);
        assert_eq!(row.state(), None);
    }

    #[test]
    fn the_largest_sizes_are_no_overflow() {
        let mut row = memory("flex", "lora");
        (row.weights, row.moments, row.candidates) = (u64::MAX, u64::MAX, u64::MAX);
        assert!(row.predicted().is_finite());
    }
}
