//! Agreement of backends: the chart of how far each is from the reference on the same experiment.

use super::chart::{Figure, Line, Lines};
use super::rows::places;
use crate::results::AgreementRow;

/// The largest difference of a loss that is allowed.
const LARGEST: f64 = 1e-3;

/// The difference of each loss, one line for each row.
pub fn chart(rows: &[AgreementRow]) -> Option<Figure> {
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
        caption: "Difference of the loss from the reference by update. An update with an equal loss, or with a loss \
                  that is not a number, is a gap."
            .to_owned(),
        x: "update",
        y: "difference (nats a token)",
        logarithmic: true,
        limit: Some((LARGEST, "largest allowed difference, 1e-3")),
        lines: rows.iter().zip(looks).map(line).collect(),
    }
    .figure()
}

/// Update, counted from 1, and the absolute difference of its losses.
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
