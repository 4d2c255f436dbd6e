//! Traffic of a data-parallel update, as the closed form gives it.

use super::{groups, ranked};
use crate::report::document::{Block, Column, Section, Table};
use crate::report::number::{fixed, mebibytes, rank};
use crate::report::plot::{Bar, Bars};
use crate::results::CommunicationRow;

/// The section, if any traffic was computed.
pub fn section(rows: &[CommunicationRow]) -> Option<Section> {
    if rows.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::Text(
        "Computed in closed form, not measured: the bytes of the gradients of all trained parameters, which each \
         process of a data-parallel training has to exchange for one update."
            .to_owned(),
    )];
    for rows in groups(rows, |row| row.model.clone()) {
        let model = rows.first().map_or("", |row| row.model.as_str());
        blocks.push(Block::Heading(format!("Model {model}")));
        blocks.push(table(&rows));
        blocks.extend(chart(model, &rows));
    }
    Some(Section::new("Traffic of an update", blocks))
}

fn table(rows: &[&CommunicationRow]) -> Block {
    let cells = |row: &&CommunicationRow| {
        vec![
            row.method.clone(),
            rank(row.rank),
            row.trainable_parameters.to_string(),
            fixed(mebibytes(row.gradient_bytes), 2),
            fixed(row.to_full * 100.0, 1),
        ]
    };
    Block::Table(Table {
        columns: vec![
            Column::Text("method"),
            Column::Number("rank"),
            Column::Number("trained parameters"),
            Column::Number("gradients (MiB)"),
            Column::Number("of full (%)"),
        ],
        rows: rows.iter().map(cells).collect(),
    })
}

fn chart(model: &str, rows: &[&CommunicationRow]) -> Option<Block> {
    let bar = |row: &&CommunicationRow| Bar {
        name: ranked(&row.method, row.rank),
        parts: vec![mebibytes(row.gradient_bytes)],
        tick: None,
        end: format!("{} %", fixed(row.to_full * 100.0, 1)),
    };
    Bars {
        caption: format!(
            "Computed traffic of an update, model {model}, and its share of full-rank training"
        ),
        axis: "gradients (MiB)",
        parts: vec!["gradients"],
        tick: None,
        bars: rows.iter().map(bar).collect(),
    }
    .draw()
}
