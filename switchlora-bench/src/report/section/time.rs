//! Time of an update: a table and a chart for each backend and workload.

use super::{groups, ranked};
use crate::report::document::{Block, Column, Section, Table};
use crate::report::number::{fixed, percent, perhaps, rank};
use crate::report::plot::{Bar, Bars};
use crate::results::StepRow;

/// The section, if anything was timed.
pub fn section(rows: &[StepRow]) -> Option<Section> {
    if rows.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::Text(
        "Medians over the timed updates, in milliseconds. \"switch\" is what switching adds to the optimizer. \
         \"to full\" is the time of an update over that of full-rank training in the same table. \"of the floor\" is \
         the time that the matrix products of an update would take alone, at the rate that a large product reaches \
         here, over the time of the update: 100 % leaves nothing to gain."
            .to_owned(),
    )];
    for (workload, rows) in with_names(rows, workload) {
        let rows: Vec<StepRow> = rows.into_iter().cloned().collect();
        let backends = with_names(&rows, |row| row.backend.clone());
        for (backend, rows) in &backends {
            let name = format!("{backend}: {workload}");
            blocks.push(Block::Heading(name.clone()));
            blocks.push(Block::Text(format!("Median of {}.", updates(rows))));
            blocks.push(table(rows));
            blocks.extend(chart(format!("Time of an update, {name}"), rows));
        }
        if backends.len() > 1 {
            let all: Vec<&StepRow> = rows.iter().collect();
            blocks.extend(chart(
                format!("Time of an update, every backend: {workload}"),
                &all,
            ));
        }
    }
    Some(Section::new("Time of an update", blocks))
}

fn workload(row: &StepRow) -> String {
    format!(
        "{}, {}, {} x {} tokens",
        row.model, row.precision, row.batch_size, row.sequence_length
    )
}

/// The groups that have a name in common, under it.
fn with_names(rows: &[StepRow], name: impl Fn(&StepRow) -> String) -> Vec<(String, Vec<&StepRow>)> {
    let groups = groups(rows, &name).into_iter();
    groups
        .filter_map(|group| Some((name(group.first()?), group)))
        .collect()
}

fn updates(rows: &[&StepRow]) -> String {
    let counts = rows.iter().map(|row| row.updates);
    match (counts.clone().min(), counts.max()) {
        (Some(1), Some(1)) => "1 update".to_owned(),
        (Some(least), Some(most)) if least < most => format!("{least} to {most} updates"),
        (_, most) => format!("{} updates", most.unwrap_or(0)),
    }
}

fn table(rows: &[&StepRow]) -> Block {
    let full = rows.iter().find(|row| row.method == "full");
    let cells = |row: &&StepRow| {
        let to_full = full
            .filter(|full| full.update_ms > 0.0)
            .map(|full| row.update_ms / full.update_ms);
        vec![
            row.method.clone(),
            rank(row.rank),
            fixed(row.forward_ms, 2),
            fixed(row.backward_ms, 2),
            fixed(row.optimizer_ms, 2),
            fixed(row.switch_ms, 2),
            fixed(row.update_ms, 2),
            fixed(row.tokens_per_second, 0),
            perhaps(to_full, 2),
            perhaps(percent(row.switch_ms, row.update_ms), 1),
            perhaps(of_the_floor(row), 1),
        ]
    };
    Block::Table(Table {
        columns: vec![
            Column::Text("method"),
            Column::Number("rank"),
            Column::Number("forward (ms)"),
            Column::Number("backward (ms)"),
            Column::Number("optimizer (ms)"),
            Column::Number("switch (ms)"),
            Column::Number("update (ms)"),
            Column::Number("tokens/s"),
            Column::Number("to full"),
            Column::Number("switch (%)"),
            Column::Number("of the floor (%)"),
        ],
        rows: rows.iter().map(cells).collect(),
    })
}

/// The least time of the matrix products over the time of the update, in percent.
fn of_the_floor(row: &StepRow) -> Option<f64> {
    let floor_ms = percent(row.gmacs, row.peak_gmacs_per_second)? * 10.0;
    percent(floor_ms, row.update_ms)
}

fn chart(caption: String, rows: &[&StepRow]) -> Option<Block> {
    let bar = |row: &&StepRow| Bar {
        name: format!("{}, {}", row.backend, ranked(&row.method, row.rank)),
        parts: vec![
            row.forward_ms,
            row.backward_ms,
            row.optimizer_ms,
            row.switch_ms,
        ],
        tick: None,
        end: fixed(row.update_ms, 2),
    };
    Bars {
        caption,
        axis: "time (ms)",
        parts: vec!["forward", "backward", "optimizer", "switch"],
        tick: None,
        bars: rows.iter().map(bar).collect(),
    }
    .draw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::step;

    fn cells(rows: &[&StepRow]) -> Vec<Vec<String>> {
        match table(rows) {
            Block::Table(table) => table.rows,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_method_is_compared_with_full_rank_of_its_own_table() {
        let (full, lora) = (step("flex", "full", 40.0), step("flex", "lora", 20.0));
        assert_eq!(cells(&[&full, &lora])[1][8], "0.50");
        assert_eq!(cells(&[&lora])[0][8], "–");
    }

    #[test]
    fn the_floor_is_the_time_of_the_products_alone() {
        let mut row = step("flex", "full", 40.0);
        (row.gmacs, row.peak_gmacs_per_second) = (1.0, 100.0);
        assert_eq!(of_the_floor(&row), Some(25.0));
        row.peak_gmacs_per_second = 0.0;
        assert_eq!(of_the_floor(&row), None);
    }
}
