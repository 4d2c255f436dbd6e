//! Finds where JSON values begin and end, without reading what is in them.
//!
//! `serde_json` passes over a value of any depth, with numbers of any size and with halves of surrogate pairs, as
//! Python's `json` does.

use super::brief::brief;
use super::held::line_end;
use serde::de::IgnoredAny;
use serde_json::Deserializer;
use std::ops::Range;

/// What the bytes at hand are.
#[derive(Debug, PartialEq)]
pub(super) enum Found<T> {
    /// What was looked for.
    Whole(T),
    /// The beginning of it: more bytes are needed.
    Cut,
    /// Something else.
    Wrong(Wrong),
}

/// A place that is not JSON.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    /// Where the line begins that is not JSON.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
    /// Whether it is a comma behind a value, as between the elements of an array.
    pub is_comma: bool,
}

/// The values of one line, the last of which may go on over further lines.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// Each value.
    pub values: Vec<Range<usize>>,
    /// The position behind the line end.
    pub end: usize,
}

/// What follows in an array.
#[derive(Debug, PartialEq)]
pub(super) enum Element {
    /// An element, which ends at this position at the latest.
    Value(Range<usize>),
    /// The end of the array, which is before this position.
    End(usize),
}

/// The values up to the first line end that is not within a value. `ended` says that nothing follows `bytes`.
pub(super) fn line(bytes: &[u8], ended: bool) -> Found<Line> {
    let (mut values, mut at) = (Vec::new(), 0);
    loop {
        let blank = bytes[at..]
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'));
        at += blank.count();
        match bytes.get(at) {
            None if ended => return Found::Whole(Line { values, end: at }),
            None => return Found::Cut,
            Some(b'\n' | b'\r') => {
                return match line_end(&bytes[at..], ended) {
                    Some(end) => Found::Whole(Line {
                        values,
                        end: at + end,
                    }),
                    None => Found::Cut,
                };
            }
            Some(b',') if !values.is_empty() => {
                return Found::Wrong(Wrong {
                    line: line_start(bytes, at),
                    reason: format!("a comma behind a value{}", column(bytes, at)),
                    is_comma: true,
                });
            }
            Some(_) => match value(bytes, at, ended) {
                Found::Whole(range) => {
                    at = range.end;
                    values.push(range);
                }
                Found::Cut => return Found::Cut,
                Found::Wrong(wrong) => return Found::Wrong(wrong),
            },
        }
    }
}

/// The next element of an array, after its `[` (`first`) or after another element.
pub(super) fn element(bytes: &[u8], first: bool, ended: bool) -> Found<Element> {
    let next = |at: usize| {
        let blank = bytes[at..].iter().take_while(|byte| is_blank(byte));
        let at = at + blank.count();
        (at, bytes.get(at))
    };
    let wrong = |at: usize, reason: &str| {
        let reason = match ended && at == bytes.len() {
            true => "the array is cut off".to_owned(),
            false => format!("{reason}{}", column(bytes, at)),
        };
        let line = line_start(bytes, at);
        Found::Wrong(Wrong {
            line,
            reason,
            is_comma: false,
        })
    };
    let (mut at, mut found) = next(0);
    match found {
        Some(b']') => return Found::Whole(Element::End(at + 1)),
        Some(b',') if !first => (at, found) = next(at + 1),
        Some(_) if !first => return wrong(at, "expected `,` or `]`"),
        _ => {}
    }
    match found {
        None if ended => wrong(at, ""),
        None => Found::Cut,
        Some(b']') => wrong(at, "a comma before `]`"),
        Some(_) => match value(bytes, at, ended) {
            Found::Whole(range) => Found::Whole(Element::Value(range)),
            Found::Cut => Found::Cut,
            Found::Wrong(wrong) => Found::Wrong(wrong),
        },
    }
}

/// The value that begins at `at`.
fn value(bytes: &[u8], at: usize, ended: bool) -> Found<Range<usize>> {
    let mut values = Deserializer::from_slice(&bytes[at..]).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => {
            let end = at + values.byte_offset();
            match end == bytes.len() && !ended {
                // A number may go on.
                true => Found::Cut,
                false => Found::Whole(at..end),
            }
        }
        Some(Err(error)) if error.is_eof() && !ended => Found::Cut,
        Some(Err(error)) => {
            // Lines of `serde_json` end with a line feed only.
            let before = bytes[at..]
                .split_inclusive(|&byte| byte == b'\n')
                .take(error.line() - 1);
            let line = at + before.map(<[u8]>::len).sum::<usize>();
            let place = (line + error.column())
                .saturating_sub(1)
                .clamp(at, bytes.len());
            let message = error.to_string();
            let said = message.split(" at line ").next().unwrap_or_default();
            Found::Wrong(Wrong {
                line: line_start(bytes, place),
                reason: format!("{}{}", brief(said), column(bytes, place)),
                is_comma: false,
            })
        }
        None => Found::Cut,
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Where the line of the byte at `at` begins.
fn line_start(bytes: &[u8], at: usize) -> usize {
    let before = &bytes[..at];
    let end = before
        .iter()
        .rposition(|byte| matches!(byte, b'\n' | b'\r'));
    end.map_or(0, |end| end + 1)
}

/// The place within its line, for a message.
fn column(bytes: &[u8], at: usize) -> String {
    let column = at - line_start(bytes, at) + 1;
    format!(", column {column}")
}
