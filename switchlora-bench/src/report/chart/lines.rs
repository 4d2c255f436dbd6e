//! Lines over two axes, with gaps where there is no number.

use super::{Axis, Figure, INK, SOLID, Series, colour, drawable};
use crate::report::number::on_axis;
use plotters::prelude::*;
use std::ops::Range;

/// Height of a chart.
const HEIGHT: u32 = 760;
/// Dash and gap of each stroke, so that lines that cover each other can be told apart.
const STROKES: [(u32, u32); 5] = [SOLID, (24, 12), (6, 8), (44, 12), (12, 24)];
/// Dash and gap of the limit.
const LIMIT: (u32, u32) = (8, 8);
/// The least room between the ends of an axis, as a share of its largest number.
const LEAST_ROOM: f64 = 1e-3;
/// The most points of a line without gaps; a chart is too narrow to show more.
const MOST_POINTS: usize = 600;

/// A chart of lines.
pub struct Lines {
    /// What it shows.
    pub caption: String,
    /// Quantity and unit of the axis to the right.
    pub x: &'static str,
    /// Quantity and unit of the axis upward.
    pub y: &'static str,
    /// Whether the axis upward is logarithmic; numbers that are not above 0 are then not drawn.
    pub logarithmic: bool,
    /// A level to compare with, and its name.
    pub limit: Option<(f64, &'static str)>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Index of its colour; lines of one colour have something in common.
    pub colour: usize,
    /// Index of its stroke; 0 is solid.
    pub stroke: usize,
    /// Its points from left to right; a point that is not a number makes a gap.
    pub points: Vec<(f64, f64)>,
    /// Separate points.
    pub dots: Vec<(f64, f64)>,
}

impl Lines {
    /// The figure; none if nothing can be drawn.
    pub fn figure(self) -> Option<Figure> {
        let height = |y: f64| if self.logarithmic { y.log10() } else { y };
        let scaled = |points: &[(f64, f64)]| {
            points
                .iter()
                .map(|&(x, y)| (x, height(y)))
                .collect::<Vec<_>>()
        };
        let seen = |&(x, y): &(f64, f64)| drawable(x) && drawable(y);
        let lines = self.lines.iter().map(|line| Series {
            name: line.name.clone(),
            style: colour(line.colour).stroke_width(4),
            dash: STROKES[line.stroke % STROKES.len()],
            strokes: runs(&scaled(&line.points)),
            dots: scaled(&line.dots).into_iter().filter(seen).collect(),
        });
        let drawn = |series: &Series| !series.strokes.is_empty() || !series.dots.is_empty();
        let mut series: Vec<_> = lines.filter(drawn).collect();
        let points = |series: &Series| [series.strokes.concat(), series.dots.clone()].concat();
        let points: Vec<_> = series.iter().flat_map(points).collect();
        if points.is_empty() {
            return None;
        }
        let limit = self.limit.map(|(level, name)| (height(level), name));
        let x = range(points.iter().map(|point| point.0).chain([0.0]), 0.0);
        let y = points
            .iter()
            .map(|point| point.1)
            .chain(limit.map(|limit| limit.0));
        // A logarithmic axis has one label for each power of ten.
        let (y, labels, label): (_, _, fn(f64) -> String) = match self.logarithmic {
            true => {
                let y = range(y, 0.0);
                let y = y.start.floor()..y.end.ceil();
                (y.clone(), (y.end - y.start) as usize + 1, power_of_ten)
            }
            false => (range(y, 0.05), 9, on_axis),
        };
        series.extend(limit.map(|(level, name)| Series {
            name: name.to_owned(),
            style: INK.stroke_width(2),
            dash: LIMIT,
            strokes: vec![vec![(x.start, level), (x.end, level)]],
            dots: Vec::new(),
        }));
        Some(Figure {
            caption: self.caption,
            height: HEIGHT,
            right: 30,
            x: (x, self.x),
            y: Axis {
                range: y,
                title: self.y,
                labels: labels.min(20),
                label,
                room: 150,
            },
            series,
            texts: Vec::new(),
        })
    }
}

/// The label of a logarithm.
fn power_of_ten(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("1e{value}"),
        false => String::new(),
    }
}

/// From the least to the greatest number, with some room beyond them; never empty.
fn range(numbers: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let ends = |(least, most): (f64, f64), number: f64| (least.min(number), most.max(number));
    let (least, most) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
    let largest = least.abs().max(most.abs());
    let short = (largest * LEAST_ROOM).max(1e-6) - (most - least);
    let room = (most - least) * room;
    least - room..most + room + short.max(0.0)
}

/// The points between gaps, thinned to what can be seen.
fn runs(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    points
        .split(|&(x, y)| !drawable(x) || !drawable(y))
        .filter(|run| !run.is_empty())
        .map(thinned)
        .collect()
}

/// Every so many points, and the last.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let rest = points.len().saturating_sub(1) % stride;
    let last = points.last().filter(|_| rest != 0);
    points.iter().step_by(stride).chain(last).copied().collect()
}

#[cfg(test)]
mod tests;
