//! Prompts with their answers, for supervised fine-tuning.

use super::TaskError;
use super::chat::{ASSISTANT, Message};
use super::file::{lines, read_text};
use super::table::{Spot, json_rows};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// A prompt and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialogue {
    /// Two texts.
    Pair {
        /// The text that the model is given.
        prompt: String,
        /// The text that the model learns to write.
        answer: String,
    },
    /// A conversation; the model learns to write the last message, which is the assistant's.
    Chat(Vec<Message>),
}

/// The field with the messages of a conversation.
const MESSAGES: &str = "messages";

/// Reads pairs of prompt and answer from JSON lines: one object a line, with a string in each of two fields, or with the
/// messages of a conversation in `messages` if the first line has such a field and not the prompt's. Other fields and empty
/// lines are ignored. A text may be empty.
///
/// # Errors
///
/// A [`TaskError`] if the file is missing, not UTF-8 or without rows, or at the first line that is not such an object.
pub fn read_pairs(
    path: &Path,
    prompt_field: &str,
    answer_field: &str,
) -> Result<Vec<Dialogue>, TaskError> {
    let text = read_text(path)?;
    let first = lines(&text).find(|(_, line)| !line.trim_ascii().is_empty());
    let first: Option<Map<String, Value>> =
        first.and_then(|(_, line)| serde_json::from_str(line).ok());
    if first.is_some_and(|first| first.contains_key(MESSAGES) && !first.contains_key(prompt_field))
    {
        return conversations(path, &text);
    }
    let fields = [prompt_field, answer_field];
    let rows = json_rows(path, &text, &fields)?;
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
        Ok(Dialogue::Pair {
            prompt: texts.next().transpose()?.unwrap_or_default(),
            answer: texts.next().transpose()?.unwrap_or_default(),
        })
    };
    rows.into_iter().map(dialogue).collect()
}

/// The conversations of a file, one in each line.
fn conversations(path: &Path, text: &str) -> Result<Vec<Dialogue>, TaskError> {
    #[derive(Deserialize)]
    struct Line {
        messages: Vec<Message>,
    }
    let filled = lines(text).filter(|(_, line)| !line.trim_ascii().is_empty());
    filled
        .map(|(line, text)| {
            let wrong = |reason: String| TaskError::NotJson {
                path: path.to_path_buf(),
                line,
                reason,
            };
            let found: Result<Line, _> = serde_json::from_str(text);
            let messages = match found {
                Ok(Line { messages }) => messages,
                Err(error) => {
                    let said = error.to_string();
                    let said = said.split(" at line ").next().unwrap_or_default();
                    return Err(wrong(format!(
                        "expected messages with role and content as texts ({said})"
                    )));
                }
            };
            match messages.last().map(|last| last.role.as_str()) {
                Some(ASSISTANT) => Ok(Dialogue::Chat(messages)),
                Some(role) => Err(wrong(format!(
                    "the last message is of {role}, expected one of {ASSISTANT} to learn"
                ))),
                None => Err(wrong("there are no messages".to_owned())),
            }
        })
        .collect()
}
