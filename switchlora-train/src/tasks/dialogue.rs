//! Prompts with their answers, for supervised fine-tuning.

use super::TaskError;
use super::file::read_text;
use super::table::{Spot, json_rows};
use std::path::Path;

/// A prompt and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialogue {
    /// The text that the model is given.
    pub prompt: String,
    /// The text that the model learns to write.
    pub answer: String,
}

/// Reads pairs of prompt and answer from JSON lines: one object a line, with a string in each of two fields. Other
/// fields and empty lines are ignored. A text may be empty.
///
/// # Errors
///
/// A [`TaskError`] if the file is missing, not UTF-8 or without rows, or at the first line that is not such an object.
pub fn read_pairs(
    path: &Path,
    prompt_field: &str,
    answer_field: &str,
) -> Result<Vec<Dialogue>, TaskError> {
    let fields = [prompt_field, answer_field];
    let rows = json_rows(path, &read_text(path)?, &fields)?;
    let dialogue = |row: super::table::Row| {
        let place = row.place;
        let mut texts = fields.into_iter().zip(row.cells).map(|(column, cell)| {
            let spot = Spot {
                path,
                place,
                column,
            };
            cell.into_text(&spot)
        });
        Ok(Dialogue {
            prompt: texts.next().transpose()?.unwrap_or_default(),
            answer: texts.next().transpose()?.unwrap_or_default(),
        })
    };
    rows.into_iter().map(dialogue).collect()
}
