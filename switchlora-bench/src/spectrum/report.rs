//! Spectra as a table and as a chart.

use super::{LayerChange, RunChange, SHARE};
use crate::report::{Line, Lines};
use std::fmt::Write;

/// A text table with one row for each run and kind of layer.
pub fn table(runs: &[RunChange]) -> String {
    let header = [
        "run",
        "method",
        "rank",
        "layers",
        "of",
        "effective rank",
        "above 1 %",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    for run in runs {
        for kind in kinds(&run.layers) {
            let layers: Vec<_> = run.layers.iter().filter(|l| kind_of(l) == kind).collect();
            let mean = |of: &dyn Fn(&LayerChange) -> f64| {
                layers.iter().map(|layer| of(layer)).sum::<f64>() / layers.len() as f64
            };
            rows.push([
                run.run.clone(),
                run.method.clone(),
                run.rank.map_or("-".to_owned(), |rank| rank.to_string()),
                kind.to_owned(),
                layers[0].singular_values.len().to_string(),
                format!("{:.1}", mean(&|layer| layer.effective_rank)),
                format!("{:.1}", mean(&|layer| layer.directions as f64)),
            ]);
        }
    }
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 | 1 | 3 => write!(text, "{cell:<width$}  "),
                _ => write!(text, "{cell:>width$}  "),
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let percent = SHARE * 100.0;
    let _ = write!(
        text,
        "\nOf the change W_end - W_start, factors merged: means over the blocks. `of` is the largest rank there can be, \
         `above {percent} %` counts singular values above that share of the largest."
    );
    text
}

/// A chart as an SVG file: singular values by their place, as shares of the largest, the mean over all layers of a run.
pub fn figure(runs: &[(String, Vec<&[LayerChange]>)]) -> Option<String> {
    let lines = runs
        .iter()
        .enumerate()
        .map(|(index, (name, changes))| Line {
            name: name.clone(),
            colour: index,
            stroke: index / 7,
            points: profile(changes),
            dots: Vec::new(),
        });
    let chart = Lines {
        caption: "Singular values of the change of each weight, as shares of the largest; means over the layers".to_owned(),
        x: "place of the singular value, percent of min(d_input, d_output)",
        y: "share of the largest",
        logarithmic: true,
        limit: Some((SHARE, "1 %")),
        lines: lines.collect(),
    };
    Some(chart.figure()?.svg(true))
}

/// The geometric mean over layers of each singular value's share of the largest, at each percent of the places.
fn profile(changes: &[&[LayerChange]]) -> Vec<(f64, f64)> {
    /// Smaller shares are rounding errors of f32 weights.
    const FLOOR: f64 = 1e-7;
    let layers: Vec<&LayerChange> = changes.iter().copied().flatten().collect();
    let at = |percent: usize| {
        let logs = layers.iter().filter_map(|layer| {
            let values = &layer.singular_values;
            let largest = values.first().copied().filter(|&largest| largest > 0.0)?;
            let place = percent * (values.len() - 1) / 100;
            Some((values[place] / largest).max(FLOOR).ln())
        });
        let logs: Vec<f64> = logs.collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        (percent as f64, mean.exp())
    };
    (0..=100).map(at).collect()
}

fn kind_of(layer: &LayerChange) -> &str {
    layer.layer.rsplit('.').next().unwrap_or_default()
}

fn kinds(layers: &[LayerChange]) -> Vec<&str> {
    let mut kinds = Vec::new();
    for layer in layers {
        if !kinds.contains(&kind_of(layer)) {
            kinds.push(kind_of(layer));
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(method: &str, values: Vec<f64>) -> RunChange {
        let layer = |number| LayerChange {
            layer: format!("model.layers.{number}.mlp.up_proj"),
            effective_rank: 2.5,
            directions: 3,
            singular_values: values.clone(),
        };
        RunChange {
            run: format!("runs/{method}"),
            method: method.to_owned(),
            rank: Some(4),
            step: 10,
            layers: vec![layer(0), layer(1)],
        }
    }

    #[test]
    fn layers_of_one_kind_share_a_row_and_the_chart_is_a_picture_with_its_legend() {
        let runs = [
            run("lora", vec![2.0, 1.0, 0.0]),
            run("switchlora", vec![2.0, 1.5, 1.0]),
        ];
        let table = table(&runs);
        assert_eq!(
            table
                .lines()
                .filter(|line| line.contains("up_proj"))
                .count(),
            2
        );
        assert!(table.contains("2.5") && table.contains("3.0"), "{table}");
        let named = runs
            .each_ref()
            .map(|run| (run.method.clone(), vec![&run.layers[..]]));
        let svg = figure(&named).unwrap();
        let parsed = roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(parsed.root_element().tag_name().name(), "svg");
        assert!(svg.contains("switchlora"));
    }

    #[test]
    fn a_change_of_nothing_is_drawn_as_nothing() {
        let zero = run("none", vec![0.0, 0.0]);
        assert!(figure(&[("none".to_owned(), vec![&zero.layers[..]])]).is_none());
    }
}
