//! Convergence: what each training reached, and its loss by update and by time.

mod smooth;

use super::{groups, places, ranked};
use crate::report::document::{Block, Column, Section, Table};
use crate::report::number::{perhaps, rank, shortest};
use crate::report::plot::{Line, Lines};
use crate::results::Curve;
use smooth::{moving_mean, window};

/// The section, if anything was trained.
pub fn section(curves: &[Curve]) -> Option<Section> {
    if curves.is_empty() {
        return None;
    }
    let mut blocks = vec![
        Block::Text(
            "Losses are in nats a token. The final training loss is the mean over the last tenth of the updates; \
             validation is the last one, its perplexity the exponential of the loss."
                .to_owned(),
        ),
        table(curves),
    ];
    for curves in groups(curves, |curve| curve.model.clone()) {
        let model = curves.first().map_or("", |curve| curve.model.as_str());
        let (by_update, by_seconds) = (chart(model, &curves, false), chart(model, &curves, true));
        blocks.push(Block::Heading(format!("Model {model}")));
        let gaps = curves.iter().filter_map(|curve| gaps(curve, &curves));
        blocks.extend(gaps.map(Block::Text));
        blocks.extend(by_update);
        blocks.extend(by_seconds);
        // A heading with nothing below it says nothing.
        blocks.pop_if(|block| matches!(block, Block::Heading(_)));
    }
    Some(Section::new("Convergence", blocks))
}

fn table(curves: &[Curve]) -> Block {
    let cells = |curve: &Curve| {
        let validation = curve.evaluations.last().map(|evaluation| evaluation.1);
        let tokens = u128::from(curve.tokens_per_update) * curve.losses.len() as u128;
        vec![
            curve.backend.clone(),
            curve.method.clone(),
            curve.model.clone(),
            curve.precision.clone(),
            rank(curve.rank),
            shortest(curve.lr),
            tokens.to_string(),
            perhaps(final_loss(&curve.losses), 4),
            perhaps(validation, 4),
            perhaps(validation.map(f64::exp), 2),
            perhaps(curve.seconds.last().copied(), 1),
        ]
    };
    Block::Table(Table {
        columns: vec![
            Column::Text("backend"),
            Column::Text("method"),
            Column::Text("model"),
            Column::Text("precision"),
            Column::Number("rank"),
            Column::Number("learning rate"),
            Column::Number("tokens"),
            Column::Number("final training loss"),
            Column::Number("validation loss"),
            Column::Number("perplexity"),
            Column::Number("seconds"),
        ],
        rows: curves.iter().map(cells).collect(),
    })
}

/// The mean over the last tenth of the updates, at least one.
fn final_loss(losses: &[f64]) -> Option<f64> {
    let tenth = losses.len().div_ceil(10);
    let last = losses.get(losses.len() - tenth..)?;
    (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
}

/// What tells a curve from the others of its chart.
fn name(curve: &Curve, others: &[&Curve]) -> String {
    format!("{}, {}", curve.backend, setting(curve, others))
}

/// What is trained how: method, rank, and what else differs among the curves.
fn setting(curve: &Curve, others: &[&Curve]) -> String {
    let differs = |same: fn(&Curve, &Curve) -> bool| others.iter().any(|other| !same(curve, other));
    let mut setting = ranked(&curve.method, curve.rank);
    if differs(|a, b| a.precision == b.precision) {
        setting += &format!(", {}", curve.precision);
    }
    if differs(|a, b| a.lr == b.lr) {
        setting += &format!(", learning rate {}", shortest(curve.lr));
    }
    setting
}

/// Says which losses of a curve are no numbers.
fn gaps(curve: &Curve, others: &[&Curve]) -> Option<String> {
    let first = curve.losses.iter().position(|loss| !loss.is_finite())? + 1;
    let gaps = curve.losses.iter().filter(|loss| !loss.is_finite()).count();
    Some(format!(
        "{}: {gaps} of {} losses are not finite numbers, the first at update {first}. They are not drawn.",
        name(curve, others),
        curve.losses.len(),
    ))
}

fn chart(model: &str, curves: &[&Curve], by_seconds: bool) -> Option<Block> {
    let colours = places(curves, |curve| setting(curve, curves));
    let strokes = places(curves, |curve| &curve.backend);
    let looks = colours.into_iter().zip(strokes);
    let line = |(curve, (colour, stroke)): (&&Curve, _)| Line {
        name: name(curve, curves),
        colour,
        stroke,
        points: points(curve, by_seconds),
        dots: dots(curve, by_seconds),
    };
    let most = curves.iter().map(|curve| window(curve.losses.len())).max();
    let (by, x) = if by_seconds {
        ("seconds", "time (s)")
    } else {
        ("update", "update")
    };
    let smoothing = match most {
        Some(most @ 2..) => format!(
            "mean over the last {most} updates (one fiftieth of a training, less where it is shorter)"
        ),
        _ => "not smoothed".to_owned(),
    };
    Lines {
        caption: format!(
            "Loss by {by}, model {model}. Line: training loss, {smoothing}. Dots: validation loss."
        ),
        x,
        y: "loss (nats a token)",
        logarithmic: false,
        limit: None,
        lines: curves.iter().zip(looks).map(line).collect(),
    }
    .draw()
}

fn points(curve: &Curve, by_seconds: bool) -> Vec<(f64, f64)> {
    let losses = moving_mean(&curve.losses, window(curve.losses.len()));
    let losses = losses.into_iter().enumerate();
    losses
        .map(|(index, loss)| (place(curve, index as u64 + 1, by_seconds), loss))
        .collect()
}

fn dots(curve: &Curve, by_seconds: bool) -> Vec<(f64, f64)> {
    let dots = curve.evaluations.iter();
    dots.map(|&(update, loss)| (place(curve, update, by_seconds), loss))
        .collect()
}

/// Where the end of an update, counted from 1, is on the axis to the right; 0 is the start.
fn place(curve: &Curve, update: u64, by_seconds: bool) -> f64 {
    let seconds = |index| curve.seconds.get(usize::try_from(index).ok()?).copied();
    match (by_seconds, update.checked_sub(1)) {
        (false, _) => update as f64,
        (true, None) => 0.0,
        (true, Some(index)) => seconds(index).unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests;
