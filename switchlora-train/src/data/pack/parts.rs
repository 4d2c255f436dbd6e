//! Iterates over the documents of all inputs, cut into parts, from any position.

use super::super::DataError;
use super::super::cuts::Cuts;
use super::super::read::{BytesRead, Form, Input, Json, Malformed, Rows, Text, open};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// A part of a document, encoded on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub text: String,
    /// Whether it is the first part of the document.
    pub first: bool,
    /// Whether it is the last part of the document.
    pub last: bool,
}

/// A position between two parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Index of the input.
    pub input: usize,
    /// Number of parts of that input before the position.
    pub parts: u64,
    /// Malformed lines and rows in earlier inputs.
    pub malformed: u64,
}

/// Iterator over the parts of all documents of all inputs.
pub(super) struct Parts {
    inputs: Vec<Input>,
    field: String,
    cuts: Cuts,
    read: BytesRead,
    position: Position,
    source: Option<Source>,
    /// Parts of the current document that [`next`](Self::next) has not returned yet.
    waiting: VecDeque<Part>,
    /// Malformed lines and rows so far.
    pub malformed: Malformed,
}

/// The open input.
enum Source {
    /// The text, and whether its first part is still to come.
    Text(Box<Text>, bool),
    Json(Box<Json>),
    Rows(Box<Rows>),
}

impl Parts {
    pub fn new(
        inputs: Vec<Input>,
        field: &str,
        cuts: Cuts,
        malformed: Malformed,
        read: &BytesRead,
    ) -> Self {
        Self {
            inputs,
            field: field.to_owned(),
            cuts,
            read: read.clone(),
            position: Position::default(),
            source: None,
            waiting: VecDeque::new(),
            malformed,
        }
    }

    /// The position before the next part.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Moves to a position that [`position`](Self::position) returned. Returns the first part of the document that the
    /// position is in, or of the document before it.
    ///
    /// Inputs before the position are not opened. The input with the position is read from its start, but not encoded.
    ///
    /// # Errors
    ///
    /// The errors of [`next`](Self::next).
    pub fn seek(&mut self, position: Position) -> Result<Option<Part>, DataError> {
        let inputs = self.inputs.iter().take(position.input);
        let before: u64 = inputs.map(|input| input.bytes).sum();
        self.read.fetch_add(before, Ordering::Relaxed);
        self.position = Position {
            parts: 0,
            ..position
        };
        self.malformed.count = position.malformed;
        let mut first = None;
        while self.position.parts < position.parts {
            let Some(part) = self.next()? else { break };
            if part.first {
                first = Some(part);
            }
        }
        Ok(first)
    }

    /// Returns the next part, or `None` at the end.
    ///
    /// # Errors
    ///
    /// An input cannot be read or is damaged, or is not text, or the errors of [`Malformed::add`].
    pub fn next(&mut self) -> Result<Option<Part>, DataError> {
        loop {
            if let Some(part) = self.waiting.pop_front() {
                self.position.parts += 1;
                return Ok(Some(part));
            }
            let Some(input) = self.inputs.get(self.position.input) else {
                return Ok(None);
            };
            let source = match &mut self.source {
                Some(source) => source,
                none => none.insert(Source::open(input, &self.field, self.cuts, &self.read)?),
            };
            let text = match source {
                Source::Text(text, first) => {
                    if let Some((text, last)) = text.next()? {
                        let first = std::mem::take(first);
                        self.waiting.push_back(Part { text, first, last });
                        continue;
                    }
                    None
                }
                Source::Json(json) => json.next(&mut self.malformed)?,
                Source::Rows(rows) => rows.next(&mut self.malformed)?,
            };
            match text {
                Some(text) => self.waiting.extend(cut(text, self.cuts)),
                None => {
                    self.source = None;
                    self.position = Position {
                        input: self.position.input + 1,
                        parts: 0,
                        malformed: self.malformed.count,
                    };
                }
            }
        }
    }
}

impl Source {
    fn open(input: &Input, field: &str, cuts: Cuts, read: &BytesRead) -> Result<Self, DataError> {
        Ok(match input.form {
            Form::Text | Form::Table => {
                let text = Text::new(open(input, read)?, &input.path, cuts);
                Self::Text(Box::new(text), true)
            }
            Form::Json => {
                let json = Json::new(open(input, read)?, &input.path, field);
                Self::Json(Box::new(json))
            }
            Form::Parquet => Self::Rows(Box::new(Rows::new(input, field, read)?)),
        })
    }
}

/// Cuts a document in memory into parts.
fn cut(text: String, cuts: Cuts) -> Vec<Part> {
    if text.len() < cuts.enough() {
        let (first, last) = (true, true);
        return vec![Part { text, first, last }];
    }
    let pieces: Vec<&str> = cuts.pieces(&text).collect();
    let end = pieces.len() - 1;
    let part = |(index, text): (usize, &str)| Part {
        text: text.to_owned(),
        first: index == 0,
        last: index == end,
    };
    pieces.into_iter().enumerate().map(part).collect()
}
