//! Agreement of backends: how far each is from the reference on the same experiment.

use super::places;
use crate::report::document::{Block, Column, Section, Table, verdict};
use crate::report::number::scientific;
use crate::report::plot::{Line, Lines};
use crate::results::AgreementRow;

/// The largest difference of a loss that is asked for.
const LARGEST: f64 = 1e-3;

/// The section, if any backends were compared.
pub fn section(rows: &[AgreementRow]) -> Option<Section> {
    if rows.is_empty() {
        return None;
    }
    let mut blocks = vec![
        Block::Text(
            "Each backend runs the same experiment as the reference. Asked for: the first loss differs by at most \
             1e-4, every loss by at most 1e-3, and every switch is the same."
                .to_owned(),
        ),
        table(rows),
    ];
    blocks.extend(chart(rows));
    Some(Section::new("Agreement of backends", blocks))
}

fn table(rows: &[AgreementRow]) -> Block {
    let cells = |row: &AgreementRow| {
        vec![
            row.backend.clone(),
            row.reference.clone(),
            row.method.clone(),
            row.precision.clone(),
            row.updates.to_string(),
            scientific(row.first_loss),
            scientific(row.largest),
            row.largest_at.to_string(),
            verdict(row.switches_equal),
            verdict(row.agrees),
        ]
    };
    Block::Table(Table {
        columns: vec![
            Column::Text("backend"),
            Column::Text("reference"),
            Column::Text("method"),
            Column::Text("precision"),
            Column::Number("updates"),
            Column::Number("first loss"),
            Column::Number("largest"),
            Column::Number("at update"),
            Column::Verdict("switches equal"),
            Column::Verdict("agrees"),
        ],
        rows: rows.iter().map(cells).collect(),
    })
}

fn chart(rows: &[AgreementRow]) -> Option<Block> {
    let colours = places(rows, |row| (&row.method, &row.precision));
    let strokes = places(rows, |row| (&row.backend, &row.reference));
    let looks = colours.into_iter().zip(strokes);
    let line = |(row, (colour, stroke)): (&AgreementRow, _)| Line {
        name: format!(
            "{} to {}, {}, {}",
            row.backend, row.reference, row.method, row.precision
        ),
        colour,
        stroke,
        points: differences(row),
        dots: Vec::new(),
    };
    Lines {
        caption: "Difference of the loss from the reference by update. An update with the same loss, or with one \
                  that is no number, is a gap."
            .to_owned(),
        x: "update",
        y: "difference (nats a token)",
        logarithmic: true,
        limit: Some((LARGEST, "most that is asked for, 1e-3")),
        lines: rows.iter().zip(looks).map(line).collect(),
    }
    .draw()
}

/// Update, counted from 1, and the difference of its losses.
fn differences(row: &AgreementRow) -> Vec<(f64, f64)> {
    let pairs = row.losses.iter().zip(&row.reference_losses);
    pairs
        .enumerate()
        .map(|(index, (loss, reference))| ((index + 1) as f64, (loss - reference).abs()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::agreement;

    #[test]
    fn differences_end_with_the_shorter_training() {
        let mut row = agreement("ndarray", "lora");
        row.losses = vec![3.0, 2.0, 1.0];
        row.reference_losses = vec![3.5, 2.0];
        assert_eq!(differences(&row), [(1.0, 0.5), (2.0, 0.0)]);
    }

    #[test]
    fn the_same_losses_everywhere_make_no_chart() {
        let mut row = agreement("ndarray", "lora");
        row.losses = row.reference_losses.clone();
        assert!(chart(&[row]).is_none());
    }
}
