//! The results as JSON and as tables.

use super::results::{Measured, Traffic, UpdateTime, less_percent};
use crate::files::write_file;
use crate::report::{Number, OrNone, groups, text};
use anyhow::Result;
use askama::Template;
use std::path::Path;

/// Writes `communication.json` and `communication.md`.
pub(super) fn write(out: &Path, results: &Measured) -> Result<()> {
    write_file(
        out,
        "communication.json",
        &serde_json::to_vec_pretty(results)?,
    )?;
    write_file(out, "communication.md", results.markdown().as_bytes())
}

/// The report.
#[derive(Template)]
#[template(path = "communication/report.md")]
struct Report<'a> {
    results: &'a Measured,
}

impl Measured {
    /// The tables.
    pub fn markdown(&self) -> String {
        Report { results: self }.to_string()
    }
}

impl Traffic {
    fn sent(&self) -> f64 {
        self.measured
    }
}

/// The name of a model. One in a file has the file's name; with its folder if that is `config.json`, as of all models of
/// Hugging Face, or if another one of `models` has that name too.
fn name<'a>(model: &'a str, models: &[&'a str]) -> &'a str {
    let Some(path) = model.strip_suffix(".json") else {
        return model;
    };
    let short = |path: &'a str| path.rsplit('/').next().unwrap_or(path);
    let others = models.iter().filter(|other| **other != model);
    let mut others = others.map(|other| short(other.trim_end_matches(".json")));
    match short(path) {
        "config" => path,
        name if others.any(|other| other == name) => path,
        name => name,
    }
}

/// Rows in tables, one for each model and number of processes.
fn tables<'a, T>(
    rows: &'a [T],
    of: impl Fn(&'a T) -> (&'a str, usize),
) -> Vec<(String, Vec<&'a T>)> {
    let groups = groups(rows, of);
    let models: Vec<&str> = groups.iter().map(|((model, _), _)| *model).collect();
    let titled = |((model, processes), rows)| {
        let name = name(model, &models);
        (format!("Model {name}, {processes} processes"), rows)
    };
    groups.into_iter().map(titled).collect()
}

fn traffic_groups(rows: &[Traffic]) -> Vec<(String, Vec<&Traffic>)> {
    tables(rows, |row| (&row.model, row.processes))
}

fn time_groups(rows: &[UpdateTime]) -> Vec<(String, Vec<&UpdateTime>)> {
    tables(rows, |row| (&row.model, row.processes))
}

/// How many percent less than full-rank training a method sends; nothing for full-rank training itself.
fn less(row: &Traffic, rows: &[&Traffic], bytes: fn(&Traffic) -> f64) -> Option<f64> {
    let full = rows.iter().find(|other| other.method == "full")?;
    (row.method != "full").then(|| less_percent(bytes(row), bytes(full)))
}

/// How many percent less time than full-rank training a method takes over the same link.
fn less_time(row: &UpdateTime, rows: &[&UpdateTime]) -> Option<f64> {
    let same = |other: &&&UpdateTime| other.method == "full" && other.wire == row.wire;
    let full = rows.iter().find(same)?;
    (row.method != "full").then(|| less_percent(row.seconds, full.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::communication::Wire;

    fn traffic(method: &str, rank: Option<usize>, trained: u64) -> Traffic {
        let computed = 4.0 * trained as f64;
        Traffic {
            model: "60m".to_owned(),
            method: method.to_owned(),
            rank,
            processes: 2,
            trained,
            embeddings_and_head: 1_000_000,
            computed,
            measured: computed * 1.05,
            frames: computed / 1448.0,
            most: computed * 1.05,
        }
    }

    fn time(method: &str, wire: Wire, seconds: f64) -> UpdateTime {
        UpdateTime {
            model: "60m".to_owned(),
            method: method.to_owned(),
            rank: None,
            processes: 2,
            wire,
            seconds,
            updates: 4,
            link_seconds: None,
        }
    }

    #[test]
    fn the_tables_compare_each_method_with_full_rank_training() {
        let slow = Wire::Limited(100_000_000);
        let results = Measured {
            command: "switchlora-bench communication".to_owned(),
            traffic: vec![
                traffic("full", None, 11_000_000),
                traffic("switchlora", Some(128), 6_000_000),
            ],
            times: vec![
                time("full", slow, 4.0),
                time("switchlora", slow, 3.0),
                time("switchlora", Wire::Free, 1.0),
            ],
            ..Measured::default()
        };
        let text = results.markdown();
        for line in [
            "```text\nswitchlora-bench communication\n```",
            "### Model 60m, 2 processes",
            "| full | – | 11000000 | 44.000 | 46.200 | 5.00 | 30387 | – | 42.000 | – |",
            "| switchlora | 128 | 6000000 | 24.000 | 25.200 | 5.00 | 16575 | 45.5 | 21.000 | 50.0 |",
            "| 100 Mb/s | switchlora | – | 3.000 | – | 4 | 25.0 |",
            "| no limit | switchlora | – | 1.000 | – | 4 | – |",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_model_in_a_file_has_the_name_of_the_file() {
        assert_eq!(name("/a/b/small.json", &["/a/b/small.json"]), "small");
        assert_eq!(name("60m", &["60m"]), "60m");
        assert_eq!(name("a/config.json", &["a/config.json"]), "a/config");

        // Two files of one name are two models.
        let rows = ["a/small.json", "b/small.json", "a/small.json"].map(|model| Traffic {
            model: model.to_owned(),
            ..traffic("full", None, 1)
        });
        let titles: Vec<_> = traffic_groups(&rows)
            .into_iter()
            .map(|(title, rows)| (title, rows.len()))
            .collect();
        assert_eq!(titles[0], ("Model a/small, 2 processes".to_owned(), 2));
        assert_eq!(titles[1], ("Model b/small, 2 processes".to_owned(), 1));
    }

    #[test]
    fn without_results_there_are_no_tables() {
        assert!(!Measured::default().markdown().contains("| method"));
    }

    #[test]
    fn results_are_read_back_as_they_were_written() {
        let results = Measured {
            traffic: vec![traffic("lora", Some(8), 3)],
            times: vec![time("lora", Wire::Limited(5_000_000), 0.1)],
            ..Measured::default()
        };
        let json = serde_json::to_vec(&results).unwrap();
        assert_eq!(serde_json::from_slice::<Measured>(&json).unwrap(), results);
    }
}
