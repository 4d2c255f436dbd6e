//! Convergence: the final losses of each training, and the charts of its loss by update and by time.

use super::chart::{Figure, Line, Lines};
use super::number::Number;
use super::rows::{groups, places, ranked};
use super::smooth::{moving_mean, window};
use crate::results::Curve;

/// The curves of each model.
pub fn models(curves: &[Curve]) -> Vec<(String, Vec<&Curve>)> {
    groups(curves, |curve| curve.model.clone())
}

impl Curve {
    /// Tokens of the whole training.
    pub(super) fn tokens(&self) -> u128 {
        u128::from(self.tokens_per_update) * self.losses.len() as u128
    }

    /// The mean training loss over the last tenth of the updates, at least one.
    pub(super) fn final_loss(&self) -> Option<f64> {
        let tenth = self.losses.len().div_ceil(10);
        let last = &self.losses[self.losses.len() - tenth..];
        (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
    }

    /// The last validation loss.
    pub(super) fn validation_loss(&self) -> Option<f64> {
        self.evaluations.last().map(|evaluation| evaluation.1)
    }

    /// The exponential of the last validation loss.
    pub(super) fn perplexity(&self) -> Option<f64> {
        self.validation_loss().map(f64::exp)
    }
}

/// For each curve with losses that are not finite, a sentence that says which.
pub fn gaps(curves: &[&Curve]) -> Vec<String> {
    let gap = |curve: &&Curve| {
        let first = curve.losses.iter().position(|loss| !loss.is_finite())? + 1;
        let gaps = curve.losses.iter().filter(|loss| !loss.is_finite()).count();
        Some(format!(
            "Training {}: {gaps} of {} losses are not finite numbers, the first at update {first}. They are not drawn.",
            name(curve, curves),
            curve.losses.len(),
        ))
    };
    curves.iter().filter_map(gap).collect()
}

/// The loss by update and by time.
pub fn charts(model: &str, curves: &[&Curve]) -> Vec<Figure> {
    [false, true]
        .into_iter()
        .filter_map(|by_seconds| chart(model, curves, by_seconds))
        .collect()
}

fn chart(model: &str, curves: &[&Curve], by_seconds: bool) -> Option<Figure> {
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
    .figure()
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

/// Tells a curve from the others of its chart: its backend and its setting.
fn name(curve: &Curve, others: &[&Curve]) -> String {
    format!("{}, {}", curve.backend, setting(curve, others))
}

/// Method and rank, and whatever else differs among the curves.
fn setting(curve: &Curve, others: &[&Curve]) -> String {
    let differs = |same: fn(&Curve, &Curve) -> bool| others.iter().any(|other| !same(curve, other));
    let mut setting = ranked(&curve.method, curve.rank);
    if differs(|a, b| a.precision == b.precision) {
        setting += &format!(", {}", curve.precision);
    }
    if differs(|a, b| a.lr == b.lr) {
        setting += &format!(", learning rate {}", curve.lr.shortest());
    }
    setting
}

#[cfg(test)]
mod tests;
