//! A comparison as JSON, as tables, and as charts.

use super::summary::{Comparison, Run, Summary};
use super::trainings;
use crate::files::write_file;
use crate::report::{Figure, Form, Line, Lines, Number, OrNone, written};
use crate::spectrum::{LayerChange, figure};
use anyhow::Result;
use askama::Template;
use std::path::Path;
use switchlora_train::plan::{bytes, millions};

/// Writes `compare.json`, `trainings.csv`, `compare.md`, `compare.html` and the charts.
pub(super) fn write(out: &Path, comparison: &Comparison) -> Result<()> {
    write_file(out, "compare.json", &serde_json::to_vec(comparison)?)?;
    write_file(out, "trainings.csv", &trainings::csv(comparison)?)?;
    let [markdown, html] = written("Comparison", |form| Report { comparison, form });
    write_file(out, "compare.md", markdown.as_bytes())?;
    write_file(out, "compare.html", html.as_bytes())?;
    for (name, chart) in charts(comparison) {
        write_file(out, name, chart.svg(true).as_bytes())?;
    }
    if let Some(svg) = figure(&changes(comparison)) {
        write_file(out, "spectrum.svg", svg.as_bytes())?;
    }
    Ok(())
}

/// The report.
#[derive(Template)]
#[template(path = "compare/report.md")]
struct Report<'a> {
    comparison: &'a Comparison,
    form: Form,
}

impl Report<'_> {
    fn figures(&self) -> String {
        let charts = charts(self.comparison).into_iter();
        self.form.figures(charts.map(|(_, chart)| chart))
    }

    /// How much higher the perplexity is than that of the best full-rank training by AdamW, seed by seed.
    fn to_full(&self, row: &Summary) -> Option<String> {
        let rows = self.comparison.summary.iter();
        let full = rows.filter(|row| row.method == "full");
        let full = full.min_by(|a, b| a.perplexity.total_cmp(&b.perplexity))?;
        let (mean, deviation) = self.comparison.above(&row.variant, &full.variant)?;
        Some(match deviation.filter(|_| row.variant != full.variant) {
            Some(deviation) => format!("{mean:+.1} ± {deviation:.1} %"),
            None => format!("{mean:+.1} %"),
        })
    }
}

impl Summary {
    pub(super) fn perplexities(&self) -> String {
        let mean = or_diverged(self.perplexity);
        match self.deviation.filter(|_| self.perplexity.is_finite()) {
            Some(deviation) => format!("{mean} ± {deviation:.2}"),
            None => mean,
        }
    }

    fn trained(&self) -> String {
        millions(self.trainable_parameters)
    }

    fn optimizer(&self) -> String {
        bytes(self.optimizer_bytes)
    }

    fn peak(&self) -> Option<String> {
        self.peak_memory.map(bytes)
    }

    /// Mean effective rank of the change; `None` if a weight was not finite.
    fn effective(&self) -> Option<f64> {
        Some(self.effective_rank).filter(|rank| rank.is_finite())
    }

    /// Share of the directions that the change uses; `None` if a weight was not finite.
    fn directions(&self) -> Option<String> {
        let percent = Some(self.directions_percent).filter(|percent| percent.is_finite())?;
        Some(format!("{} %", percent.fixed(0)))
    }
}

pub(super) fn or_diverged(perplexity: f64) -> String {
    match perplexity.is_finite() {
        true => perplexity.fixed(2),
        false => "diverged".to_owned(),
    }
}

/// The charts by their files: training loss by update, by time, and validation loss.
fn charts(comparison: &Comparison) -> Vec<(&'static str, Figure)> {
    type Points = fn(&[&Run]) -> Vec<(f64, f64)>;
    let by_update: Points = |runs| smoothed(runs, |_, at| (at + 1) as f64);
    let by_seconds: Points = |runs| {
        smoothed(runs, |run, at| {
            run.curve.seconds.get(at).copied().unwrap_or(f64::NAN)
        })
    };
    let chart = |(file, caption, x, points): (_, &str, _, Points)| {
        let variants = comparison.summary.iter().enumerate();
        let line = |(index, row): (usize, &Summary)| Line {
            name: row.variant.clone(),
            colour: index,
            stroke: index / 7,
            points: points(&runs_of(comparison, &row.variant)),
            dots: Vec::new(),
        };
        let lines = Lines {
            caption: format!("{caption}, mean over the seeds"),
            x,
            y: "loss (nats a token)",
            logarithmic: false,
            limit: None,
            lines: variants.map(line).collect(),
        };
        Some((file, lines.figure()?))
    };
    [
        ("loss.svg", "Smoothed training loss", "update", by_update),
        (
            "loss-by-time.svg",
            "Smoothed training loss by time",
            "time (s)",
            by_seconds,
        ),
        (
            "validation.svg",
            "Validation loss",
            "update",
            validation as Points,
        ),
    ]
    .into_iter()
    .filter_map(chart)
    .collect()
}

fn runs_of<'a>(comparison: &'a Comparison, variant: &str) -> Vec<&'a Run> {
    let runs = comparison.runs.iter();
    runs.filter(|run| run.variant == variant).collect()
}

/// The mean loss of all runs over windows of a fiftieth of the training, each at the mean of `place` in its middle.
fn smoothed(runs: &[&Run], place: impl Fn(&Run, usize) -> f64) -> Vec<(f64, f64)> {
    let updates = runs
        .iter()
        .map(|run| run.curve.losses.len())
        .min()
        .unwrap_or(0);
    let window = (updates / 50).max(1);
    let count = runs.len() as f64;
    let mean = |of: &dyn Fn(&Run) -> f64| runs.iter().map(|run| of(run)).sum::<f64>() / count;
    let starts = (0..updates)
        .step_by(window)
        .filter(|start| start + window <= updates);
    let point = |start: usize| {
        let loss =
            |run: &Run| run.curve.losses[start..start + window].iter().sum::<f64>() / window as f64;
        let x = mean(&|run| place(run, start + window / 2));
        (x, mean(&loss))
    };
    starts.map(point).collect()
}

/// The mean validation loss of all runs at each evaluation.
fn validation(runs: &[&Run]) -> Vec<(f64, f64)> {
    let count = runs
        .iter()
        .map(|run| run.curve.evaluations.len())
        .min()
        .unwrap_or(0);
    let point = |at: usize| {
        let losses = runs.iter().map(|run| run.curve.evaluations[at].1);
        let update = runs[0].curve.evaluations[at].0;
        (update as f64, losses.sum::<f64>() / runs.len() as f64)
    };
    (0..count).map(point).collect()
}

/// The changes of each variant, all seeds together.
fn changes(comparison: &Comparison) -> Vec<(String, Vec<&[LayerChange]>)> {
    let rows = comparison.summary.iter().map(|row| {
        let runs = runs_of(comparison, &row.variant);
        let changes = runs.into_iter().map(|run| &run.changes[..]).collect();
        (row.variant.clone(), changes)
    });
    rows.collect()
}
