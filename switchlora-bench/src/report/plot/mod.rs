//! Charts as SVG text: what bars and lines share.
//!
//! Drawn at twice the size at which they are read, because coordinates are whole numbers. Text and axes are black and
//! the ground is empty: the page's style gives them its own ink. No font is read; the reader's browser has one.

mod bars;
mod line;
mod lines;

pub use bars::{Bar, Bars};
pub use line::Line;
pub use lines::Lines;

use super::document::{Block, Figure};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The colours of Okabe and Ito that stand apart for every eye, without black, the ones with least contrast last.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(240, 228, 66),
];

/// Of text and ticks.
const INK: RGBColor = BLACK;
/// Width of a chart.
const WIDTH: u32 = 1800;
/// Height of a letter.
const LETTER: u32 = 32;
/// The longest name that is drawn.
const LONGEST_NAME: usize = 36;
/// Beyond it a number is an accident, and no axis is made for it.
const LARGEST: f64 = 1e12;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The colour of the entry `index`.
fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// As CSS writes it.
fn css(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Whether a number can stand on an axis.
pub fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < LARGEST
}

/// Lets `draw` fill an area of the given height.
fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    draw(&area).map_err(|error| error.to_string())?;
    area.present().map_err(|error| error.to_string())?;
    drop(area);
    Ok(svg)
}

/// A chart that cannot be drawn says so in its place.
fn or_reason(figure: Result<Figure, String>) -> Block {
    figure.map_or_else(
        |reason| Block::Text(format!("This chart could not be drawn: {reason}.")),
        Block::Figure,
    )
}

/// Text whose middle line is at its position, on the given side of it.
fn lettering(side: HPos) -> TextStyle<'static> {
    ("sans-serif", LETTER)
        .into_text_style(&(WIDTH, WIDTH))
        .color(&INK)
        .pos(Pos::new(side, VPos::Center))
}

/// A name that fits beside a chart and is allowed in XML.
fn shortened(name: &str) -> String {
    let allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let clean = |c| if allowed(c) { c } else { ' ' };
    match name.chars().count() > LONGEST_NAME {
        true => name
            .chars()
            .take(LONGEST_NAME - 1)
            .map(clean)
            .chain(['…'])
            .collect(),
        false => name.chars().map(clean).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beside_a_chart_is_short_and_clean() {
        assert_eq!(shortened("a\0b\nc"), "a b c");
        assert_eq!(shortened(&"é".repeat(50)).chars().count(), LONGEST_NAME);
    }

    #[test]
    fn what_is_no_number_is_not_drawable() {
        assert!(drawable(-3.0) && drawable(0.0));
        assert!(![f64::NAN, f64::INFINITY, 1e300].into_iter().any(drawable));
    }
}
