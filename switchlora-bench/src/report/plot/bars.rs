//! Horizontal bars, each a stack of parts from the left.

use super::{
    Area, Chart, Drawn, INK, LETTER, colour, css, drawable, lettering, or_reason, shortened, svg,
};
use crate::report::document::{Block, Figure, Key, Mark};
use crate::report::number::on_axis;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Height of a bar and the gap below it.
const ROW: u32 = 60;
/// Height of the axis and its title.
const AXIS: u32 = 116;
/// The margin on all sides.
const MARGIN: u32 = 10;
/// Between a bar and what stands beside it.
const GAP: i32 = 12;
/// No bar is drawn for less.
const SMALLEST: f64 = 1e-9;

/// A chart of bars.
#[derive(Debug)]
pub struct Bars {
    /// What it shows.
    pub caption: String,
    /// Quantity and unit of the axis.
    pub axis: &'static str,
    /// The names of the parts, in the order of the stack.
    pub parts: Vec<&'static str>,
    /// The name of the ticks, if bars have any.
    pub tick: Option<&'static str>,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug)]
pub struct Bar {
    /// What stands left of it.
    pub name: String,
    /// The lengths of its parts; what is not a positive number has none.
    pub parts: Vec<f64>,
    /// Where a tick stands, if it is a positive number.
    pub tick: Option<f64>,
    /// What stands right of it.
    pub end: String,
}

impl Bar {
    /// Start, end and number of each part that can be drawn.
    fn spans(&self) -> Vec<(f64, f64, usize)> {
        let mut start = 0.0;
        let mut spans = Vec::new();
        for (index, &part) in self.parts.iter().enumerate() {
            if visible(part) {
                spans.push((start, start + part, index));
                start += part;
            }
        }
        spans
    }

    fn tick(&self) -> Option<f64> {
        self.tick.filter(|&tick| visible(tick))
    }

    /// How far to the right anything of it is.
    fn extent(&self) -> f64 {
        let stack = self.spans().last().map_or(0.0, |span| span.1);
        stack.max(self.tick().unwrap_or(0.0))
    }
}

fn visible(length: f64) -> bool {
    drawable(length) && length > SMALLEST
}

impl Bars {
    /// The figure; none if no bar has a length.
    pub fn draw(self) -> Option<Block> {
        let most = self.bars.iter().map(Bar::extent).fold(0.0, f64::max);
        visible(most).then(|| {
            or_reason(self.svg(most).map(|svg| Figure {
                legend: self.legend(),
                caption: self.caption,
                svg,
            }))
        })
    }

    fn legend(&self) -> Vec<Key> {
        let part = |(index, name): (usize, &&str)| Key {
            name: (*name).to_owned(),
            colour: css(colour(index)),
            mark: Mark::Bar,
        };
        let tick = self.tick.map(|name| Key {
            name: name.to_owned(),
            colour: css(INK),
            mark: Mark::Tick,
        });
        self.parts
            .iter()
            .enumerate()
            .map(part)
            .chain(tick)
            .collect()
    }

    fn svg(&self, most: f64) -> Result<String, String> {
        let count = self.bars.len() as u32;
        let left = width(self.bars.iter().map(|bar| &bar.name));
        let right = width(self.bars.iter().map(|bar| &bar.end));
        svg(ROW * count + AXIS, |area| {
            let mut chart = ChartBuilder::on(area)
                .margin(MARGIN)
                .margin_right(MARGIN + right)
                .x_label_area_size(AXIS - 2 * MARGIN)
                .y_label_area_size(left)
                .build_cartesian_2d(0.0..most * 1.02, f64::from(count)..0.0)?;
            chart
                .configure_mesh()
                .disable_y_mesh()
                .disable_y_axis()
                .y_labels(0)
                .x_labels(8)
                .x_desc(self.axis)
                .x_label_formatter(&|&value| on_axis(value))
                .label_style(("sans-serif", LETTER))
                .axis_style(INK)
                .bold_line_style(INK.mix(0.15))
                .light_line_style(TRANSPARENT)
                .draw()?;
            for (index, bar) in self.bars.iter().enumerate() {
                bar.stack(&mut chart, index as f64)?;
                let (x, y) = chart.backend_coord(&(bar.extent(), index as f64 + 0.5));
                bar.letter(area, ((MARGIN + left) as i32, x), y)?;
            }
            Ok(())
        })
    }
}

impl Bar {
    /// Draws its parts and its tick, below `top`.
    fn stack(&self, chart: &mut Chart<'_, '_>, top: f64) -> Drawn {
        chart.draw_series(self.spans().into_iter().map(|(start, end, part)| {
            let corners = [(start, top + 0.15), (end, top + 0.85)];
            Rectangle::new(corners, colour(part).filled())
        }))?;
        chart.draw_series(self.tick().map(|tick| {
            let ends = [(tick, top + 0.05), (tick, top + 0.95)];
            PathElement::new(ends, INK.stroke_width(5))
        }))?;
        Ok(())
    }

    /// Writes what stands left and right of it, at the height `y`.
    fn letter(&self, area: &Area<'_>, (left, right): (i32, i32), y: i32) -> Drawn {
        let name = (left - GAP, y);
        let end = (right + GAP, y);
        area.draw(&Text::new(
            shortened(&self.name),
            name,
            lettering(HPos::Right),
        ))?;
        area.draw(&Text::new(shortened(&self.end), end, lettering(HPos::Left)))
    }
}

/// Room for the longest of some names, by the width of most letters.
fn width<'a>(names: impl Iterator<Item = &'a String>) -> u32 {
    let letters = names.map(|name| shortened(name).chars().count()).max();
    letters.unwrap_or(0) as u32 * LETTER / 2 + 20
}

#[cfg(test)]
mod tests;
