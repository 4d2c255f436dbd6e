//! Memory of a training: what the plan predicts, beside what was measured.

use super::{groups, ranked};
use crate::report::document::{Block, Column, Section, Table};
use crate::report::number::{NONE, fixed, mebibytes, perhaps, rank};
use crate::report::plot::{Bar, Bars};
use crate::results::MemoryRow;

/// The section, if any memory was measured.
pub fn section(rows: &[MemoryRow]) -> Option<Section> {
    if rows.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::Text(
        "Weights, gradients, moments and candidates are predicted. The predicted state is weights, moments and \
         candidates: what stays between two updates. The measured state is what was there between two updates, the \
         measured peak the most at any time, with gradients, activations and everything else."
            .to_owned(),
    )];
    for rows in groups(rows, |row| row.model.clone()) {
        let model = rows.first().map_or("", |row| row.model.as_str());
        blocks.push(Block::Heading(format!("Model {model}")));
        blocks.push(table(&rows));
        blocks.extend(chart(model, &rows));
    }
    Some(Section::new("Memory", blocks))
}

fn table(rows: &[&MemoryRow]) -> Block {
    Block::Table(Table {
        columns: vec![
            Column::Text("backend"),
            Column::Text("method"),
            Column::Number("rank"),
            Column::Text("frozen in"),
            Column::Number("weights (MiB)"),
            Column::Number("gradients (MiB)"),
            Column::Number("moments (MiB)"),
            Column::Number("candidates (MiB)"),
            Column::Number("predicted state (MiB)"),
            Column::Number("measured state (MiB)"),
            Column::Number("difference (%)"),
            Column::Number("measured peak (MiB)"),
            Column::Text("source"),
            Column::Text("note"),
        ],
        rows: rows.iter().map(|row| cells(row)).collect(),
    })
}

fn cells(row: &MemoryRow) -> Vec<String> {
    vec![
        row.backend.clone(),
        row.method.clone(),
        rank(row.rank),
        row.frozen.clone(),
        fixed(mebibytes(row.weights), 2),
        fixed(mebibytes(row.gradients), 2),
        fixed(mebibytes(row.moments), 2),
        fixed(mebibytes(row.candidates), 2),
        fixed(predicted(row), 2),
        perhaps(measured(row.measured_state), 2),
        difference(row),
        perhaps(measured(row.measured_peak), 2),
        row.source.clone(),
        row.note.clone().unwrap_or_default(),
    ]
}

/// What the plan says stays between two updates, in MiB.
fn predicted(row: &MemoryRow) -> f64 {
    mebibytes(row.weights) + mebibytes(row.moments) + mebibytes(row.candidates)
}

/// In MiB. No training takes 0 bytes: that is no measurement.
fn measured(bytes: u64) -> Option<f64> {
    (bytes > 0).then(|| mebibytes(bytes))
}

/// How much more than predicted was measured, in percent.
fn difference(row: &MemoryRow) -> String {
    let predicted = predicted(row);
    match measured(row.measured_state) {
        Some(state) if predicted > 0.0 => match (state / predicted - 1.0) * 100.0 {
            more if more > 0.0 => format!("+{}", fixed(more, 1)),
            less => fixed(less, 1),
        },
        _ => NONE.to_owned(),
    }
}

fn chart(model: &str, rows: &[&MemoryRow]) -> Option<Block> {
    let bar = |row: &&MemoryRow| Bar {
        name: format!("{}, {}", row.backend, ranked(&row.method, row.rank)),
        parts: [row.weights, row.moments, row.candidates, row.gradients]
            .map(mebibytes)
            .to_vec(),
        tick: measured(row.measured_state),
        end: String::new(),
    };
    Bars {
        caption: format!("Predicted memory, model {model}. The tick is the measured state, to compare with where the gradients begin."),
        axis: "memory (MiB)",
        parts: vec!["weights", "moments", "candidates", "gradients"],
        tick: Some("measured state"),
        bars: rows.iter().map(bar).collect(),
    }
    .draw()
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
        assert_eq!(difference(&row), "+10.0");
        row.measured_state = 90;
        assert_eq!(difference(&row), "-10.0");
    }

    #[test]
    fn no_bytes_are_no_measurement() {
        let mut row = memory("flex", "lora");
        row.measured_state = 0;
        assert_eq!(difference(&row), NONE);
        // The state itself, and what it differs by.
        let none = cells(&row).into_iter().filter(|cell| cell == NONE);
        assert_eq!(none.count(), 2);
    }

    #[test]
    fn the_largest_sizes_are_no_overflow() {
        let mut row = memory("flex", "lora");
        (row.weights, row.moments, row.candidates) = (u64::MAX, u64::MAX, u64::MAX);
        assert!(predicted(&row).is_finite());
    }
}
