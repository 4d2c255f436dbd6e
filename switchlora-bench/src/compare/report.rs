//! A comparison as JSON, as tables, and as charts.

use super::summary::{Comparison, Run, Summary};
use crate::files::write_file;
use crate::report::{Block, Column, Document, Line, Lines, Section, Table, standalone, written};
use crate::spectrum::{LayerChange, figure};
use anyhow::Result;
use std::path::Path;
use switchlora_train::plan::{bytes, millions};

/// Writes `compare.json`, `compare.md`, `compare.html` and the charts.
pub(super) fn write(out: &Path, comparison: &Comparison) -> Result<()> {
    write_file(out, "compare.json", &serde_json::to_vec(comparison)?)?;
    let [markdown, html] = written(&document(comparison));
    write_file(out, "compare.md", markdown.as_bytes())?;
    write_file(out, "compare.html", html.as_bytes())?;
    for (name, chart) in charts(comparison) {
        if let Some(Block::Figure(figure)) = chart.draw() {
            write_file(out, name, standalone(&figure).as_bytes())?;
        }
    }
    if let Some(svg) = figure(&changes(comparison)) {
        write_file(out, "spectrum.svg", svg.as_bytes())?;
    }
    Ok(())
}

fn document(comparison: &Comparison) -> Document {
    let first = comparison.runs.first().map(|run| &run.experiment);
    let setting = first.map(|experiment| {
        format!(
            "Model {}, {} updates of {} tokens each (the same tokens in the same order for all at a seed), backend {}, {}.",
            experiment.model,
            experiment.steps,
            experiment.tokens_per_update(),
            comparison.backend,
            experiment.numbers(),
        )
    });
    let notes = "Perplexity is that of the held-out text after the last update, mean and standard deviation over the seeds. \
                 Each variant has the learning rate that was best in its sweep; one marked * is the lowest or highest that was \
                 tried. Optimizer is moments, counts, projections and spare vectors in closed form; peak is the largest \
                 resident set of a training's process. The last columns are of the change of the projections, factors merged: \
                 the mean effective rank, and the share of singular values above 1 % of the largest.";
    let mut blocks: Vec<Block> = setting.into_iter().map(Block::Text).collect();
    blocks.push(Block::Table(rows(&comparison.summary)));
    blocks.push(Block::Text(notes.to_owned()));
    blocks.extend(
        charts(comparison)
            .into_iter()
            .filter_map(|(_, chart)| chart.draw()),
    );
    let mut sections = vec![Section {
        title: None,
        blocks,
    }];
    if !comparison.sweep.is_empty() {
        let blocks = vec![Block::Table(sweep(comparison))];
        sections.push(Section::new("Sweep of learning rates", blocks));
    }
    Document {
        title: "Comparison".to_owned(),
        sections,
    }
}

fn rows(summary: &[Summary]) -> Table {
    let full = summary.iter().find(|row| row.method == "full");
    let cells = |row: &Summary| {
        let behind = full.map(|full| 100.0 * (row.perplexity / full.perplexity - 1.0));
        vec![
            row.variant.clone(),
            row.rank.map_or("-".to_owned(), |rank| rank.to_string()),
            format!("{:e}{}", row.lr, if row.at_edge { " *" } else { "" }),
            perplexity(row),
            behind.map_or("-".to_owned(), |behind| format!("{behind:+.1} %")),
            row.seeds.to_string(),
            millions(row.trainable_parameters),
            bytes(row.optimizer_bytes),
            row.peak_memory.map_or("-".to_owned(), bytes),
            format!("{:.1}", row.milliseconds),
            format!("{:.0}", row.tokens_per_second),
            format!("{:.1}", row.effective_rank),
            format!("{:.0} %", row.directions_percent),
        ]
    };
    Table {
        columns: vec![
            Column::Text("variant"),
            Column::Number("rank"),
            Column::Number("lr"),
            Column::Number("perplexity"),
            Column::Number("to full"),
            Column::Number("seeds"),
            Column::Number("trained"),
            Column::Number("optimizer"),
            Column::Number("peak"),
            Column::Number("ms/update"),
            Column::Number("tokens/s"),
            Column::Number("effective rank"),
            Column::Number("directions"),
        ],
        rows: summary.iter().map(cells).collect(),
    }
}

fn perplexity(row: &Summary) -> String {
    match (row.perplexity.is_finite(), row.deviation) {
        (false, _) => "diverged".to_owned(),
        (true, Some(deviation)) => format!("{:.2} ± {deviation:.2}", row.perplexity),
        (true, None) => format!("{:.2}", row.perplexity),
    }
}

/// Validation perplexity of each variant at each rate.
fn sweep(comparison: &Comparison) -> Table {
    let cells = |run: &Run| {
        let perplexity = run.loss.exp();
        vec![
            run.variant.clone(),
            format!("{:e}", run.curve.lr),
            run.curve.losses.len().to_string(),
            match perplexity.is_finite() {
                true => format!("{perplexity:.2}"),
                false => "diverged".to_owned(),
            },
        ]
    };
    Table {
        columns: vec![
            Column::Text("variant"),
            Column::Number("lr"),
            Column::Number("updates"),
            Column::Number("perplexity"),
        ],
        rows: comparison.sweep.iter().map(cells).collect(),
    }
}

/// The charts by their files: training loss by update, by time, and validation loss.
fn charts(comparison: &Comparison) -> Vec<(&'static str, Lines)> {
    let chart = |caption: &str, x, points: fn(&[&Run]) -> Vec<(f64, f64)>| {
        let lines = comparison
            .summary
            .iter()
            .enumerate()
            .map(|(index, row)| Line {
                name: row.variant.clone(),
                colour: index,
                stroke: index / 7,
                points: points(&runs_of(comparison, &row.variant)),
                dots: Vec::new(),
            });
        Lines {
            caption: caption.to_owned(),
            x,
            y: "loss, nats a token",
            logarithmic: false,
            limit: None,
            lines: lines.collect(),
        }
    };
    vec![
        (
            "loss.svg",
            chart(
                "Training loss, mean over the seeds, smoothed",
                "update",
                |runs| by(runs, |_, at| (at + 1) as f64),
            ),
        ),
        (
            "loss-by-time.svg",
            chart(
                "Training loss by time, mean over the seeds, smoothed",
                "seconds",
                |runs| {
                    by(runs, |run, at| {
                        run.curve.seconds.get(at).copied().unwrap_or(f64::NAN)
                    })
                },
            ),
        ),
        (
            "validation.svg",
            chart("Validation loss, mean over the seeds", "update", validation),
        ),
    ]
}

fn runs_of<'a>(comparison: &'a Comparison, variant: &str) -> Vec<&'a Run> {
    let runs = comparison.runs.iter();
    runs.filter(|run| run.variant == variant).collect()
}

/// The mean loss of all runs over windows of a fiftieth of the training, at the mean of `place` in its middle.
fn by(runs: &[&Run], place: impl Fn(&Run, usize) -> f64) -> Vec<(f64, f64)> {
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

/// The changes of each variant, those of all seeds together.
fn changes(comparison: &Comparison) -> Vec<(String, Vec<&[LayerChange]>)> {
    let rows = comparison.summary.iter().map(|row| {
        let runs = runs_of(comparison, &row.variant);
        let changes = runs.into_iter().map(|run| &run.changes[..]).collect();
        (row.variant.clone(), changes)
    });
    rows.collect()
}
