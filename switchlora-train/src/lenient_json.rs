//! Reads the JSON of other people's model folders as Python's `json` reads it.
//!
//! Python writes `NaN`, `Infinity` and `-Infinity`, which are not JSON. Here they become the strings "NaN", "Infinity" and
//! "-Infinity": a key that needs a number then refuses them by name, and all other keys are read. A byte order mark at the
//! start is skipped.

use crate::git_lfs;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a JSON object.
///
/// # Errors
///
/// What is wrong, with the line and the column.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    if git_lfs::is_pointer(bytes) {
        return Err(git_lfs::ADVICE.to_owned());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(&quoted(bytes)).map_err(|error| error.to_string())
}

/// Puts `NaN`, `Infinity` and `-Infinity` outside of strings in quotes.
fn quoted(bytes: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut found = Vec::new();
    let (mut at, mut inside) = (0, false);
    while at < bytes.len() {
        let word = WORDS.iter().find(|word| bytes[at..].starts_with(word));
        at += match (bytes[at], word) {
            (b'\\', _) if inside => 2,
            (b'"', _) => {
                inside = !inside;
                1
            }
            (_, Some(word)) if !inside => {
                found.push((at, word.len()));
                word.len()
            }
            _ => 1,
        };
    }
    if found.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let (mut text, mut from) = (Vec::with_capacity(bytes.len() + 2 * found.len()), 0);
    for (at, length) in found {
        text.extend_from_slice(&bytes[from..at]);
        text.push(b'"');
        text.extend_from_slice(&bytes[at..at + length]);
        text.push(b'"');
        from = at + length;
    }
    text.extend_from_slice(&bytes[from..]);
    Cow::Owned(text)
}

/// Reads a file; `None` if it has more than `most` bytes.
pub(crate) fn read_at_most(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_python_writes_is_read_and_a_byte_order_mark_is_skipped() {
        let text =
            "\u{feff}{\"a\": NaN, \"b\": [Infinity, -Infinity], \"c\": \"NaN \\\" NaN\", \"d\": 1}";
        let read = Value::Object(object(text.as_bytes()).unwrap());
        assert_eq!(
            read,
            json!({"a": "NaN", "b": ["Infinity", "-Infinity"], "c": "NaN \" NaN", "d": 1})
        );
        assert!(object(b"[1]").is_err() && object(b"{\"a\": nan}").is_err());
    }

    proptest! {
        #[test]
        fn json_without_such_numbers_is_read_as_it_is(text in "[NaNInfinity\\\\\" ,a-]{0,20}", other: String) {
            let value = json!({"key": text, other: [1.5, null]});
            prop_assert_eq!(Value::Object(object(value.to_string().as_bytes()).unwrap()), value);
        }

        #[test]
        fn any_bytes_harm_nothing(bytes: Vec<u8>) {
            let _ = object(&bytes);
        }
    }
}
