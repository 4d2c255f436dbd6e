//! What could not be measured, and why.

use crate::report::document::{Block, Column, Section, Table};
use crate::results::Failure;

/// The section, if anything failed.
pub fn section(rows: &[Failure]) -> Option<Section> {
    let table = Table {
        columns: vec![Column::Text("cell"), Column::Text("reason")],
        rows: rows
            .iter()
            .map(|row| vec![row.cell.clone(), row.reason.clone()])
            .collect(),
    };
    (!rows.is_empty()).then(|| Section::new("Not measured", vec![Block::Table(table)]))
}
