//! Lines over two axes, with gaps where there is no number.

use super::{INK, LETTER, Line, colour, css, drawable, or_reason, svg};
use crate::report::document::{Block, Figure, Key, Mark};
use crate::report::number::on_axis;
use plotters::prelude::*;
use plotters::series::DashedLineSeries;
use std::ops::Range;

/// Height of a chart.
const HEIGHT: u32 = 760;
/// Dash and gap of a level to compare with.
const LIMIT: (u32, u32) = (8, 8);
/// The least room between the ends of an axis, as a share of its largest number.
const LEAST_ROOM: f64 = 1e-3;

/// A chart of lines.
#[derive(Debug)]
pub struct Lines {
    /// What it shows.
    pub caption: String,
    /// Quantity and unit of the axis to the right.
    pub x: &'static str,
    /// Quantity and unit of the axis upward.
    pub y: &'static str,
    /// Whether the axis upward is of powers of ten; what is not above 0 is then not drawn.
    pub logarithmic: bool,
    /// A level to compare with, and its name.
    pub limit: Option<(f64, &'static str)>,
    /// What is drawn.
    pub lines: Vec<Line>,
}

impl Lines {
    /// The figure; none if nothing can be drawn.
    pub fn draw(mut self) -> Option<Block> {
        self.scale();
        let drawn = |line: &Line| !line.runs().is_empty() || !line.dots.is_empty();
        self.lines.retain(drawn);
        (!self.lines.is_empty()).then(|| {
            or_reason(self.svg().map(|svg| Figure {
                legend: self.legend(),
                caption: self.caption,
                svg,
            }))
        })
    }

    /// Brings every point onto the axes; what has no place there becomes a gap.
    fn scale(&mut self) {
        let logarithmic = self.logarithmic;
        let height = |y: f64| match logarithmic {
            true if y > 0.0 => y.log10(),
            true => f64::NAN,
            false => y,
        };
        for line in &mut self.lines {
            for (_, y) in line.points.iter_mut().chain(&mut line.dots) {
                *y = height(*y);
            }
            line.dots.retain(|&(x, y)| drawable(x) && drawable(y));
        }
        self.limit = self.limit.map(|(level, name)| (height(level), name));
    }

    fn legend(&self) -> Vec<Key> {
        let line = |line: &Line| Key {
            name: line.name.clone(),
            colour: css(colour(line.colour)),
            mark: line.mark(),
        };
        let limit = self.limit.map(|(_, name)| Key {
            name: name.to_owned(),
            colour: "var(--ink)".to_owned(),
            mark: Mark::Line {
                dash: LIMIT.0,
                gap: LIMIT.1,
            },
        });
        self.lines.iter().map(line).chain(limit).collect()
    }

    fn ranges(&self) -> (Range<f64>, Range<f64>) {
        let dots = self.lines.iter().flat_map(|line| line.dots.iter().copied());
        let runs = self.lines.iter().flat_map(|line| line.runs().concat());
        let points: Vec<_> = dots.chain(runs).collect();
        let limit = self.limit.map(|(level, _)| level);
        let x = range(points.iter().map(|point| point.0).chain([0.0]), 0.0);
        let y = points.iter().map(|point| point.1).chain(limit);
        match self.logarithmic {
            true => {
                let y = range(y, 0.0);
                (x, y.start.floor()..y.end.ceil())
            }
            false => (x, range(y, 0.05)),
        }
    }

    fn svg(&self) -> Result<String, String> {
        let (x, y) = self.ranges();
        // On an axis of powers of ten one label for each of them.
        let labels = match self.logarithmic {
            true => (y.end - y.start) as usize + 1,
            false => 9,
        };
        svg(HEIGHT, |area| {
            let mut chart = ChartBuilder::on(area)
                .margin(10)
                .margin_right(40)
                .x_label_area_size(95)
                .y_label_area_size(150)
                .build_cartesian_2d(x.clone(), y.clone())?;
            chart
                .configure_mesh()
                .x_labels(10)
                .y_labels(labels.min(20))
                .x_desc(self.x)
                .y_desc(self.y)
                .x_label_formatter(&|&value| on_axis(value))
                .y_label_formatter(&|&value| self.at_height(value))
                .label_style(("sans-serif", LETTER))
                .axis_style(INK)
                .bold_line_style(INK.mix(0.15))
                .light_line_style(TRANSPARENT)
                .draw()?;
            if let Some((level, _)) = self.limit {
                let ends = [(x.start, level), (x.end, level)];
                let style = INK.stroke_width(2);
                chart.draw_series(DashedLineSeries::new(ends, LIMIT.0, LIMIT.1, style))?;
            }
            self.lines.iter().try_for_each(|line| line.draw(&mut chart))
        })
    }

    /// What stands beside the axis upward.
    fn at_height(&self, value: f64) -> String {
        match self.logarithmic {
            true if value.fract() == 0.0 => format!("1e{value}"),
            true => String::new(),
            false => on_axis(value),
        }
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

#[cfg(test)]
mod tests;
