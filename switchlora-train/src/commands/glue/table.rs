//! The table of `glue`, in Markdown: a row for each model, a column for each task, and GLUE's average.

use crate::commands::finetune::{OfEpoch, OfSeed, Results};
use crate::tasks::GlueTask;
use std::fmt;

/// The results of models on tasks.
pub struct Table {
    /// The columns.
    pub tasks: Vec<GlueTask>,
    /// The models, then what needs no model.
    pub rows: Vec<Row>,
}

/// A row: for each task the value after the last and after the best epoch, mean and standard deviation over seeds, in percent.
pub struct Row {
    name: String,
    last: Vec<Option<Value>>,
    best: Vec<Option<Value>>,
}

#[derive(Clone, Copy)]
struct Value {
    mean: f64,
    /// NaN of one seed, and of a baseline.
    deviation: f64,
    seeds: usize,
}

impl Row {
    /// The row of a model; `None` for a task it has no results of.
    pub fn of(name: &str, results: Vec<Option<Results>>) -> Self {
        let values = |of: fn(&OfSeed) -> &OfEpoch| {
            let value = |results: &Option<Results>| {
                let results = results.as_ref()?;
                let (mean, deviation) = results.mean(of);
                let seeds = results.seeds.len();
                Some(Value {
                    mean,
                    deviation,
                    seeds,
                })
            };
            results.iter().map(value).collect()
        };
        Self {
            name: name.to_owned(),
            last: values(|seed| &seed.last),
            best: values(|seed| &seed.best),
        }
    }

    /// The row of what needs no model.
    pub fn baseline(name: &str, means: Vec<Option<f64>>) -> Self {
        let value = |mean: Option<f64>| {
            mean.map(|mean| Value {
                mean,
                deviation: f64::NAN,
                seeds: 0,
            })
        };
        let values: Vec<_> = means.into_iter().map(value).collect();
        Self {
            name: name.to_owned(),
            last: values.clone(),
            best: values,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mean.is_nan(), self.deviation.is_nan()) {
            (true, _) => f.write_str("-"),
            (false, true) => write!(f, "{:.1}", 100.0 * self.mean),
            (false, false) => write!(
                f,
                "{:.1} ± {:.1}",
                100.0 * self.mean,
                100.0 * self.deviation
            ),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, values) in [
            (
                "Last epoch",
                (|row: &Row| row.last.clone()) as fn(&Row) -> Vec<Option<Value>>,
            ),
            (
                "Best epoch (chosen by the same examples that it is judged by)",
                |row| row.best.clone(),
            ),
        ] {
            writeln!(f, "{title}, in percent:\n")?;
            write!(f, "| |")?;
            for task in &self.tasks {
                let metrics: Vec<&str> =
                    task.metrics().iter().map(|metric| metric.name()).collect();
                write!(f, " {task} ({}) |", metrics.join(" and "))?;
            }
            writeln!(
                f,
                " average |\n|---|{}",
                "---|".repeat(self.tasks.len() + 1)
            )?;
            for row in &self.rows {
                let values = values(row);
                write!(f, "| {} |", row.name)?;
                for value in &values {
                    match value {
                        Some(value) => write!(f, " {value} |")?,
                        None => write!(f, " |")?,
                    }
                }
                // Of a constant there is no correlation: it counts as none.
                let means = values.iter().map(|value| {
                    Some(value.as_ref()?.mean).map(|mean| if mean.is_nan() { 0.0 } else { mean })
                });
                match means.collect::<Option<Vec<f64>>>() {
                    Some(means) => writeln!(
                        f,
                        " {:.1} |",
                        100.0 * means.iter().sum::<f64>() / means.len().max(1) as f64
                    )?,
                    None => writeln!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        let seeds = self
            .rows
            .iter()
            .flat_map(|row| row.last.iter().flatten())
            .map(|value| value.seeds);
        let seeds: Vec<usize> = seeds.filter(|&seeds| seeds > 0).collect();
        let (least, most) = (
            seeds.iter().min().unwrap_or(&0),
            seeds.iter().max().unwrap_or(&0),
        );
        let seeds = match least == most {
            true => least.to_string(),
            false => format!("{least} to {most}"),
        };
        writeln!(
            f,
            "Mean and standard deviation over {seeds} seeds. A task with two metrics counts with their mean, as in GLUE."
        )
    }
}
