//! Charts drawn by plotters, as SVG.
//!
//! A chart is drawn at twice the size at which it is read, because coordinates are whole numbers. Text and axes are
//! black and the ground is empty, so that the style of a page can give them its own colours. No font is read: the
//! reader's browser has one.

mod bars;
mod lines;

pub use bars::{Bar, Bars};
pub use lines::{Line, Lines};

use super::number::on_axis;
use super::text::clean;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::series::DashedLineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// The colours of Okabe and Ito, which colour-blind readers can tell apart, without black, the least contrast last.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(240, 228, 66),
];

/// Colour of text, axes and ticks.
const INK: RGBColor = BLACK;
/// Width of a chart.
const WIDTH: u32 = 1800;
/// Height of a letter.
const LETTER: u32 = 32;
/// Height of a line of the legend, as plotters sets it.
const LINE: u32 = LETTER * 5 / 4;
/// The font of all text.
const FONT: (&str, u32) = ("sans-serif", LETTER);
/// Height of the axis to the right, with its labels and its title.
const AXIS: u32 = 96;
/// The margin on all sides.
const MARGIN: u32 = 20;
/// A number of at least this size is not drawn.
const LARGEST: f64 = 1e12;
/// Dash and gap of a line without gaps: no line is as long.
const SOLID: (u32, u32) = (10_000_000, 1);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A chart with its legend.
pub struct Figure {
    /// What it shows, and in which units.
    pub caption: String,
    /// Height of the chart without its legend.
    height: u32,
    /// Room on the right.
    right: u32,
    /// Range and title of the axis to the right.
    x: (Range<f64>, &'static str),
    y: Axis,
    series: Vec<Series>,
    texts: Vec<Beside>,
}

/// The axis upward.
struct Axis {
    range: Range<f64>,
    title: &'static str,
    /// The most labels; an axis without labels is not drawn.
    labels: usize,
    label: fn(f64) -> String,
    /// Room for labels and title.
    room: u32,
}

/// Everything that one entry of the legend stands for.
struct Series {
    name: String,
    style: ShapeStyle,
    /// Lengths of a dash and of a gap.
    dash: (u32, u32),
    strokes: Vec<Vec<(f64, f64)>>,
    dots: Vec<(f64, f64)>,
}

/// Text on one side of a point.
struct Beside {
    point: (f64, f64),
    text: String,
    side: HPos,
}

impl Figure {
    /// The chart and its legend as an `svg` element. With `titled` it can stand alone: on white, below its caption.
    pub fn svg(&self, titled: bool) -> String {
        let mut svg = String::new();
        let drawn = self.draw(&mut svg, titled);
        drawn.map_or_else(
            |error| format!("This chart could not be drawn: {error}."),
            |()| svg,
        )
    }

    fn draw(&self, svg: &mut String, titled: bool) -> Drawn {
        let title = if titled { 2 * LINE } else { 0 };
        let legend = LINE * (self.series.len() as u32 + 1);
        let size = (WIDTH, title + self.height + legend);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        if titled {
            area.fill(&WHITE)?;
            let place = (MARGIN as i32, LINE as i32 / 2);
            area.draw(&Text::new(clean(&self.caption), place, FONT))?;
        }
        let (_, area) = area.split_vertically(title);
        let (axes, legend) = area.split_vertically(self.height);
        self.draw_series(&axes)?;
        self.draw_legend(&legend)?;
        area.present()
    }

    fn draw_series(&self, area: &Area<'_>) -> Drawn {
        let mut chart = ChartBuilder::on(area)
            .margin(MARGIN)
            .margin_right(MARGIN + self.right)
            .x_label_area_size(AXIS)
            .y_label_area_size(self.y.room)
            .build_cartesian_2d(self.x.0.clone(), self.y.range.clone())?;
        let x_label = |&value: &f64| on_axis(value);
        let y_label = |&value: &f64| (self.y.label)(value);
        let mut mesh = chart.configure_mesh();
        if self.y.labels == 0 {
            mesh.disable_y_mesh().disable_y_axis();
        }
        mesh.x_labels(10)
            .y_labels(self.y.labels)
            .x_desc(self.x.1)
            .y_desc(self.y.title)
            .x_label_formatter(&x_label)
            .y_label_formatter(&y_label)
            .label_style(FONT)
            .axis_style(INK)
            .bold_line_style(INK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for series in &self.series {
            let circle = |&dot, size| Circle::new(dot, size, series.style.filled());
            for stroke in &series.strokes {
                let (points, (dash, gap)) = (stroke.iter().copied(), series.dash);
                match &stroke[..] {
                    [dot] => chart.draw_series([circle(dot, 4)])?,
                    _ => {
                        chart.draw_series(DashedLineSeries::new(points, dash, gap, series.style))?
                    }
                };
            }
            chart.draw_series(series.dots.iter().map(|dot| circle(dot, 9)))?;
        }
        chart.draw_series(self.texts.iter().map(|beside| {
            let gap = if matches!(beside.side, HPos::Left) {
                12
            } else {
                -12
            };
            let font = FONT
                .into_text_style(area)
                .pos(Pos::new(beside.side, VPos::Center));
            EmptyElement::at(beside.point) + Text::new(beside.text.clone(), (gap, 0), font)
        }))?;
        Ok(())
    }

    fn draw_legend(&self, area: &Area<'_>) -> Drawn {
        let mut chart = ChartBuilder::on(area).build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        for series in &self.series {
            let (mut style, (dash, gap)) = (series.style, series.dash);
            style.stroke_width = style.stroke_width.min(LETTER);
            let nothing = DashedLineSeries::new([], dash, gap, style);
            let mark =
                move |(x, y)| DashedPathElement::new([(x + 10, y), (x + 90, y)], dash, gap, style);
            chart
                .draw_series(nothing)?
                .label(shortened(&series.name, 100))
                .legend(mark);
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .legend_area_size(110)
            .label_font(FONT)
            .draw()
    }
}

/// The colour of the entry `index`.
fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// Whether a number can stand on an axis.
fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() < LARGEST
}

/// A name of at most `longest` characters, all of them allowed in XML.
fn shortened(name: &str, longest: usize) -> String {
    let name = clean(name);
    match name.char_indices().nth(longest) {
        Some(_) => name.chars().take(longest - 1).chain(['…']).collect(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_chart_is_short_and_clean() {
        assert_eq!(shortened("a\0b\nc", 36), "a b c");
        assert_eq!(shortened(&"é".repeat(50), 36).chars().count(), 36);
        assert_eq!(shortened(&"é".repeat(36), 36), "é".repeat(36));
    }

    #[test]
    fn what_is_no_number_is_not_drawable() {
        assert!(drawable(-3.0) && drawable(0.0));
        assert!(![f64::NAN, f64::INFINITY, 1e300].into_iter().any(drawable));
    }
}
