//! One line of a chart: its colour, its stroke and its runs between gaps.

use super::{Chart, Drawn, colour, drawable};
use crate::report::document::Mark;
use plotters::prelude::*;
use plotters::series::DashedLineSeries;

/// Dash and gap of each stroke: lines that cover each other can be told apart.
const STROKES: [(u32, u32); 5] = [(24, 0), (24, 12), (6, 8), (44, 12), (12, 24)];
/// The most points of a line without gaps; more are not seen.
const MOST_POINTS: usize = 600;

/// One line.
#[derive(Debug)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// Which colour it has; lines of one colour have something in common.
    pub colour: usize,
    /// Which stroke it has, 0 without dashes.
    pub stroke: usize,
    /// Its points from left to right; one that is no number makes a gap.
    pub points: Vec<(f64, f64)>,
    /// Points on their own.
    pub dots: Vec<(f64, f64)>,
}

impl Line {
    fn dashes(&self) -> (u32, u32) {
        STROKES[self.stroke % STROKES.len()]
    }

    /// How the legend shows it.
    pub fn mark(&self) -> Mark {
        let (dash, gap) = self.dashes();
        Mark::Line { dash, gap }
    }

    /// Draws its runs and its dots.
    pub fn draw(&self, chart: &mut Chart<'_, '_>) -> Drawn {
        let style = colour(self.colour).stroke_width(4);
        for run in self.runs() {
            match (run.as_slice(), self.dashes()) {
                (&[point], _) => {
                    chart.draw_series([Circle::new(point, 4, style.filled())])?;
                }
                (_, (_, 0)) => {
                    chart.draw_series(LineSeries::new(run, style))?;
                }
                (_, (dash, gap)) => {
                    chart.draw_series(DashedLineSeries::new(run, dash, gap, style))?;
                }
            }
        }
        let dots = self.dots.iter();
        chart.draw_series(dots.map(|&dot| Circle::new(dot, 9, style.filled())))?;
        Ok(())
    }

    /// The points without gaps between them, thinned to what can be seen.
    pub fn runs(&self) -> Vec<Vec<(f64, f64)>> {
        self.points
            .split(|&(x, y)| !drawable(x) || !drawable(y))
            .filter(|run| !run.is_empty())
            .map(thinned)
            .collect()
    }
}

/// Every so many points, and the last.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let rest = points.len().saturating_sub(1) % stride;
    let last = points.last().filter(|_| rest != 0);
    points.iter().step_by(stride).chain(last).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stroke: usize, points: &[(f64, f64)]) -> Line {
        Line {
            name: "flex".to_owned(),
            colour: 0,
            stroke,
            points: points.to_vec(),
            dots: Vec::new(),
        }
    }

    #[test]
    fn a_number_that_is_none_makes_a_gap() {
        let runs = line(0, &[(1.0, 4.0), (2.0, f64::NAN), (3.0, 3.0), (4.0, 2.0)]).runs();
        assert_eq!(runs, [vec![(1.0, 4.0)], vec![(3.0, 3.0), (4.0, 2.0)]]);
    }

    #[test]
    fn a_thin_line_keeps_its_ends() {
        let points: Vec<_> = (0..1999).map(|x| (f64::from(x), 0.0)).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= MOST_POINTS + 1);
        assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
    }

    #[test]
    fn there_is_a_stroke_for_any_number_of_lines() {
        assert_eq!(line(0, &[]).mark(), Mark::Line { dash: 24, gap: 0 });
        assert_eq!(line(6, &[]).mark(), Mark::Line { dash: 24, gap: 12 });
    }
}
