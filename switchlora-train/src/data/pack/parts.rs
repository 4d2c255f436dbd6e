//! All documents of all inputs, cut into parts, from any place on.

use super::super::DataError;
use super::super::cuts::Cuts;
use super::inputs::{Form, Input};
use super::lines::Lines;
use super::malformed::Malformed;
use super::open::{Read64, open};
use super::rows::Rows;
use super::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub text: String,
    /// Whether a document begins with it.
    pub first: bool,
    /// Whether the document ends with it.
    pub last: bool,
}

/// A place between two parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The input, counted from 0.
    pub input: usize,
    /// Parts of it that are before the place.
    pub parts: u64,
    /// Malformed lines and rows of the inputs before it.
    pub malformed: u64,
}

/// The parts of all documents of all inputs.
pub(super) struct Parts {
    inputs: Vec<Input>,
    field: String,
    cuts: Cuts,
    read: Read64,
    position: Position,
    source: Option<Source>,
    /// Parts of a document that is cut and not given away, and how many.
    waiting: VecDeque<Part>,
    /// What was passed over.
    pub malformed: Malformed,
}

enum Source {
    Text(Box<Text>, bool),
    Lines(Box<Lines>),
    Rows(Box<Rows>),
}

impl Parts {
    pub fn new(
        inputs: Vec<Input>,
        field: &str,
        cuts: Cuts,
        malformed: Malformed,
        read: &Read64,
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

    /// The place before the next part.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Goes to a place that [`position`](Self::position) gave; gives what was last passed over that a document began with.
    ///
    /// Inputs before are not opened; what is before it in its input is read again, and not encoded.
    pub fn seek(&mut self, place: Position) -> Result<Option<Part>, DataError> {
        let before: u64 = self.inputs.iter().take(place.input).map(|i| i.bytes).sum();
        self.read.fetch_add(before, Ordering::Relaxed);
        self.position = Position { parts: 0, ..place };
        self.malformed.count = place.malformed;
        let mut first = None;
        while self.position.parts < place.parts {
            let Some(part) = self.next()? else { break };
            if part.first {
                first = Some(part);
            }
        }
        Ok(first)
    }

    /// The next part.
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
                Source::Lines(lines) => lines.next(&mut self.malformed)?,
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
    fn open(input: &Input, field: &str, cuts: Cuts, read: &Read64) -> Result<Self, DataError> {
        Ok(match input.form {
            Form::Text => {
                let text = Text::new(open(input, read)?, &input.path, cuts);
                Self::Text(Box::new(text), true)
            }
            Form::Lines => {
                let lines = Lines::new(open(input, read)?, &input.path, field);
                Self::Lines(Box::new(lines))
            }
            Form::Parquet => Self::Rows(Box::new(Rows::new(input, field, read)?)),
        })
    }
}

/// The parts of a document that is in memory.
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
