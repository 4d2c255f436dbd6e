//! Horizontal bars, each a stack of parts from the left.

use super::{
    AXIS, Axis, Beside, Figure, INK, LETTER, MARGIN, SOLID, Series, colour, drawable, shortened,
};
use crate::report::number::on_axis;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Height of a bar and the gap below it.
const ROW: u32 = 60;
/// Height of a bar.
const BAR: u32 = 42;
/// A shorter bar is not drawn.
const SMALLEST: f64 = 1e-9;
/// The most characters beside a bar.
const LONGEST_NAME: usize = 36;

/// A chart of bars.
pub struct Bars {
    /// What it shows.
    pub caption: String,
    /// Quantity and unit of the axis.
    pub axis: &'static str,
    /// The names of the parts, in the order of the stack.
    pub parts: &'static [&'static str],
    /// The name of the ticks, if bars have any.
    pub tick: Option<&'static str>,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
pub struct Bar {
    /// The text to its left.
    pub name: String,
    /// The lengths of its parts; a part that is not a positive number is not drawn.
    pub parts: Vec<f64>,
    /// The position of its tick, drawn if it is a positive number.
    pub tick: Option<f64>,
    /// The text to its right.
    pub end: String,
}

impl Bar {
    /// Index, start and end of each part that can be drawn.
    fn spans(&self) -> Vec<(usize, f64, f64)> {
        let parts = self.parts.iter().copied().enumerate();
        let mut end = 0.0;
        let span = |(index, part): (usize, f64)| {
            let start = end;
            end += part;
            (index, start, end)
        };
        parts.filter(|&(_, part)| visible(part)).map(span).collect()
    }

    fn tick(&self) -> Option<f64> {
        self.tick.filter(|&tick| visible(tick))
    }

    /// The rightmost position of its parts and its tick.
    fn extent(&self) -> f64 {
        let stack = self.spans().last().map_or(0.0, |span| span.2);
        stack.max(self.tick().unwrap_or(0.0))
    }
}

fn visible(length: f64) -> bool {
    drawable(length) && length > SMALLEST
}

impl Bars {
    /// The figure; none if no bar has a length.
    pub fn figure(self) -> Option<Figure> {
        let most = self.bars.iter().map(Bar::extent).fold(0.0, f64::max);
        let series = |name: &&str, style, strokes: Vec<Vec<(f64, f64)>>| Series {
            name: (*name).to_owned(),
            style,
            dash: SOLID,
            strokes,
            dots: Vec::new(),
        };
        // The middle of each bar.
        let bars = || (0..).map(|index| f64::from(index) + 0.5).zip(&self.bars);
        let parts = self.parts.iter().enumerate().map(|(part, name)| {
            let spans =
                bars().flat_map(|(y, bar)| bar.spans().into_iter().map(move |span| (y, span)));
            let spans = spans.filter(|&(_, (index, ..))| index == part);
            let strokes = spans.map(|(y, (_, start, end))| vec![(start, y), (end, y)]);
            series(name, colour(part).stroke_width(BAR), strokes.collect())
        });
        let ticks = self.tick.iter().map(|name| {
            let ticks = bars().filter_map(|(y, bar)| Some((y, bar.tick()?)));
            let strokes = ticks.map(|(y, tick)| vec![(tick, y - 0.45), (tick, y + 0.45)]);
            series(name, INK.stroke_width(5), strokes.collect())
        });
        let texts = bars().flat_map(|(y, bar)| {
            [
                (0.0, &bar.name, HPos::Right),
                (bar.extent(), &bar.end, HPos::Left),
            ]
            .map(|(x, text, side)| Beside {
                point: (x, y),
                text: shortened(text, LONGEST_NAME),
                side,
            })
        });
        visible(most).then(|| Figure {
            height: ROW * self.bars.len() as u32 + AXIS + 2 * MARGIN,
            right: width(self.bars.iter().map(|bar| &bar.end)),
            x: (0.0..most * 1.02, self.axis),
            y: Axis {
                range: self.bars.len() as f64..0.0,
                title: "",
                labels: 0,
                label: on_axis,
                room: width(self.bars.iter().map(|bar| &bar.name)),
            },
            series: parts.chain(ticks).collect(),
            texts: texts.collect(),
            caption: self.caption.clone(),
        })
    }
}

/// Room for the longest of some names, at the width of most letters.
fn width<'a>(names: impl Iterator<Item = &'a String>) -> u32 {
    let letters = names
        .map(|name| shortened(name, LONGEST_NAME).chars().count())
        .max();
    letters.unwrap_or(0) as u32 * LETTER / 2 + 20
}

#[cfg(test)]
mod tests;
