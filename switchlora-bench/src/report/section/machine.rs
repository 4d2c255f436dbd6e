//! What was measured where: the command, the machine and its backends.

use crate::report::document::{Block, Column, Section, Table, verdict};
use crate::report::number::{NONE, fixed, mebibytes};
use crate::results::{BackendRow, Machine, Results};

/// Opens the report.
pub fn section(results: &Results) -> Section {
    let mut blocks = Vec::new();
    if !results.command.trim().is_empty() {
        blocks.push(Block::Text(
            "The command that reproduces this report:".to_owned(),
        ));
        blocks.push(Block::Code(results.command.clone()));
    }
    blocks.push(machine(&results.machine));
    if !results.backends.is_empty() {
        blocks.push(Block::Heading("Backends".to_owned()));
        blocks.push(backends(&results.backends));
    }
    Section {
        title: None,
        blocks,
    }
}

fn machine(machine: &Machine) -> Block {
    let known = |text: &str| match text.trim() {
        "" => NONE.to_owned(),
        text => text.to_owned(),
    };
    let counted = |count: u64, text: String| if count == 0 { NONE.to_owned() } else { text };
    let gibibytes = fixed(mebibytes(machine.memory_bytes) / 1024.0, 1);
    let row = |name: &str, text| vec![name.to_owned(), text];
    Block::Table(Table {
        columns: vec![Column::Text("machine"), Column::Text("")],
        rows: vec![
            row("processor", known(&machine.processor)),
            row(
                "cores",
                counted(machine.cores as u64, machine.cores.to_string()),
            ),
            row(
                "memory",
                counted(machine.memory_bytes, format!("{gibibytes} GiB")),
            ),
            row("system", known(&machine.system)),
        ],
    })
}

fn backends(rows: &[BackendRow]) -> Block {
    let row = |row: &BackendRow| {
        let reason = row.reason.clone().unwrap_or_default();
        vec![row.backend.clone(), verdict(row.works), reason]
    };
    Block::Table(Table {
        columns: vec![
            Column::Text("backend"),
            Column::Verdict("works here"),
            Column::Text("reason"),
        ],
        rows: rows.iter().map(row).collect(),
    })
}
