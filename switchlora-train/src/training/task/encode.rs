//! The examples of a task as tokens.

use super::{Task, Texts};
use crate::data::{DataError, Examples, Row, Target, Tokenizer};
use crate::tasks::{Dialogue, Example, Label};

/// Encoded examples, and how many were too long.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The examples.
    pub examples: Examples,
    /// How many were cut to the longest sequence.
    pub cut: usize,
}

impl Task {
    /// The examples to train on and those to evaluate on, as tokens, at most `length` of them.
    ///
    /// # Errors
    ///
    /// The tokenizer refuses a text.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        pad: u32,
        length: usize,
    ) -> Result<[Encoded; 2], DataError> {
        let frame = Frame::of(tokenizer, pad, length);
        let [train, held_out] = &self.texts;
        Ok([frame.encode(train)?, frame.encode(held_out)?])
    }
}

/// How texts become tokens: what is around them, and how many there may be.
struct Frame<'a> {
    tokenizer: &'a Tokenizer,
    begin: &'a [u32],
    end: &'a [u32],
    /// What ends the last text: nothing where that would be taken for padding.
    last: &'a [u32],
    pad: u32,
    length: usize,
}

impl<'a> Frame<'a> {
    /// Texts are framed as documents are in pre-training.
    fn of(tokenizer: &'a Tokenizer, pad: u32, length: usize) -> Self {
        let record = tokenizer.record();
        let last = match record.end.contains(&pad) {
            true => &[],
            false => &*record.end,
        };
        Self {
            tokenizer,
            begin: &record.begin,
            end: &record.end,
            last,
            pad,
            length,
        }
    }

    fn encode(&self, texts: &Texts) -> Result<Encoded, DataError> {
        let mut cut = 0;
        let rows: Result<Vec<_>, DataError> = match texts {
            Texts::Labelled(all) => all.iter().map(|e| self.example(e, &mut cut)).collect(),
            Texts::Dialogues(all) => all.iter().map(|d| self.dialogue(d, &mut cut)).collect(),
        };
        let examples = Examples::new(rows?, self.pad);
        Ok(Encoded { examples, cut })
    }

    /// `begin first end second last`; of texts that are too long, the longer one is cut.
    fn example(&self, example: &Example, cut: &mut usize) -> Result<Row, DataError> {
        let mut first = self.tokenizer.encode(&example.first)?;
        let second = example.second.as_deref();
        let mut second = second.map(|text| self.tokenizer.encode(text)).transpose()?;
        let between = second.as_ref().map_or(0, |_| self.end.len());
        let around = self.begin.len() + between + self.last.len();
        let most = self.length.saturating_sub(around).max(1);
        let count = first.len() + second.as_ref().map_or(0, Vec::len);
        if count > most {
            *cut += 1;
            let other = second.as_ref().map_or(0, Vec::len).min(first.len());
            let (shorter, longer) = (other.min(most / 2), most - other.min(most / 2));
            match &mut second {
                Some(second) if second.len() > first.len() => {
                    second.truncate(longer);
                    first.truncate(shorter);
                }
                Some(second) => {
                    first.truncate(longer);
                    second.truncate(shorter);
                }
                None => first.truncate(most),
            }
        }
        let mut ids = [self.begin, &first].concat();
        if let Some(second) = second {
            ids.extend(self.end);
            ids.extend(second);
        }
        ids.extend(self.last);
        if ids.is_empty() {
            // An empty text of a tokenizer that puts nothing around it.
            ids.extend(self.end);
        }
        Ok(Row {
            ids,
            target: match example.label {
                Label::Class(class) => Target::Class(class as u32),
                Label::Value(value) => Target::Value(value as f32),
                Label::Unknown => Target::Class(0),
            },
        })
    }

    /// `begin prompt answer end`; the beginning of a prompt that is too long is cut, then the end of the answer.
    fn dialogue(&self, dialogue: &Dialogue, cut: &mut usize) -> Result<Row, DataError> {
        let prompt = self.tokenizer.encode(&dialogue.prompt)?;
        let mut answer = self.tokenizer.encode(&dialogue.answer)?;
        answer.extend(self.end);
        // Something must be before the first token of the answer.
        let begin = match self.begin.is_empty() && prompt.is_empty() {
            true => self.end,
            false => self.begin,
        };
        let most = self.length + 1;
        let room = most.saturating_sub(begin.len() + answer.len());
        let kept = prompt.len().min(room.max(1));
        if kept < prompt.len() || begin.len() + kept + answer.len() > most {
            *cut += 1;
        }
        let mut ids = [begin, &prompt[prompt.len() - kept..]].concat();
        let start = ids.len();
        ids.extend(answer);
        ids.truncate(most.max(start + 1));
        Ok(Row {
            ids,
            target: Target::Answer(start),
        })
    }
}
