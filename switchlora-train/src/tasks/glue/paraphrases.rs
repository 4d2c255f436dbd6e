//! MRPC from Microsoft's paraphrase corpus: GLUE's dev split is the rows whose id pairs GLUE lists.

use super::super::TaskError;
use super::super::example::Example;
use super::super::file::read_text;
use super::super::table::tsv::{Short, rows};
use super::super::table::{Cell, Row};
use super::GlueTask;
use std::collections::HashSet;
use std::path::Path;

/// Reads the dev split (`is_dev`) or the training split.
///
/// # Errors
///
/// The errors of [`GlueTask::read`].
pub(super) fn read(pairs: &Path, dev_ids: &Path, is_dev: bool) -> Result<Vec<Example>, TaskError> {
    let columns = GlueTask::Mrpc.columns();
    let texts = [
        columns.first,
        columns.second.unwrap_or_default(),
        columns.label,
    ];
    let ids = ["#1 ID", "#2 ID"];
    let wanted: Vec<&str> = texts.into_iter().chain(ids).collect();
    let listed = rows(
        dev_ids,
        &read_text(dev_ids)?,
        Some(&ids),
        &ids,
        Short::Refused,
    )?;
    let listed: HashSet<Vec<Cell>> = listed.into_iter().map(|row| row.cells).collect();
    let mut examples = Vec::new();
    for Row { place, mut cells } in rows(pairs, &read_text(pairs)?, None, &wanted, Short::Refused)?
    {
        let ids = cells.split_off(texts.len());
        if listed.contains(&ids) == is_dev {
            examples.push(GlueTask::Mrpc.example(pairs, Row { place, cells }, false)?);
        }
    }
    match examples.is_empty() {
        true => Err(TaskError::no_rows(
            pairs,
            "no rows of this split, as dev_ids.tsv divides them",
        )),
        false => Ok(examples),
    }
}
