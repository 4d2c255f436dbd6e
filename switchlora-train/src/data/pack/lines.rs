//! Reads files with one JSON object per line, one field of which is a document's text.

use super::super::DataError;
use super::malformed::Malformed;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// Longest line in bytes; a longer line is malformed. It bounds the memory that a hostile file can take; no document is
/// as long.
const LONGEST: usize = 64 << 20;

/// The texts of a file of JSON lines, in order.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    field: String,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub fn new(reader: Box<dyn BufRead>, path: &Path, field: &str) -> Self {
        Self {
            reader,
            path: path.to_path_buf(),
            field: field.to_owned(),
            line: Vec::new(),
            number: 0,
        }
    }

    /// Reads the next text. Malformed lines before it are added to `malformed`.
    ///
    /// # Errors
    ///
    /// [`DataError::Unreadable`], or the errors of [`Malformed::add`].
    pub fn next(&mut self, malformed: &mut Malformed) -> Result<Option<String>, DataError> {
        loop {
            let whole = read_line(&mut self.reader, &mut self.line, LONGEST);
            let whole = whole.map_err(|reason| DataError::unreadable(&self.path, reason))?;
            let Some(whole) = whole else { return Ok(None) };
            self.number += 1;
            let line = match self.number {
                1 => self
                    .line
                    .strip_prefix("\u{feff}".as_bytes())
                    .unwrap_or(&self.line),
                _ => &self.line,
            };
            if line.trim_ascii().is_empty() && whole {
                continue;
            }
            let text = match whole {
                true => text_of(line, &self.field),
                false => Err(format!("longer than {} MiB", LONGEST >> 20)),
            };
            match text {
                Ok(text) => return Ok(Some(text)),
                Err(reason) => {
                    let number = self.number;
                    malformed.add(&self.path, || format!("line {number}"), || reason)?;
                }
            }
        }
    }
}

/// Reads the next line into `line`, without its line break. Returns `Some(true)`; `Some(false)` if the line is longer
/// than `longest` and was skipped; `None` at the end of the file.
fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    longest: usize,
) -> io::Result<Option<bool>> {
    line.clear();
    let (mut whole, mut any) = (true, false);
    loop {
        let found = match reader.fill_buf() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if found.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = found.iter().position(|&byte| byte == b'\n');
        let now = &found[..end.unwrap_or(found.len())];
        whole &= line.len() + now.len() <= longest;
        if whole {
            line.extend_from_slice(now);
        }
        let used = now.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// The string in `field` of the JSON object in `line`. Other fields are skipped.
fn text_of(line: &[u8], field: &str) -> Result<String, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let found = Field(field)
        .deserialize(&mut json)
        .and_then(|found| json.end().map(|()| found));
    match found {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(format!(
            "the object has no {field:?}; name its field with --field"
        )),
        Err(error) if error.is_syntax() || error.is_eof() => {
            Err(format!("not a JSON object a line: {error}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Deserializes one field of an object.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a JSON object whose {:?} is a string", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(key)) = map.next_key()? {
            match key == self.0 {
                true => found = Some(map.next_value::<String>()?),
                false => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found)
    }
}

/// A key, borrowed if it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::super::OnMalformed;
    use super::*;
    use proptest::prelude::*;

    fn texts(
        bytes: &[u8],
        field: &str,
        on: OnMalformed,
    ) -> Result<(Vec<String>, Malformed), DataError> {
        let reader = io::BufReader::with_capacity(7, io::Cursor::new(bytes.to_vec()));
        let mut lines = Lines::new(Box::new(reader), Path::new("a.jsonl"), field);
        let mut malformed = Malformed::new(on, 0);
        let mut texts = Vec::new();
        while let Some(text) = lines.next(&mut malformed)? {
            texts.push(text);
        }
        Ok((texts, malformed))
    }

    proptest! {
        #[test]
        fn texts_come_back_whatever_is_in_them(expected in prop::collection::vec("\\PC{0,30}[\n\"\\\\]?", 0..8)) {
            let line = |text: &String| {
                serde_json::json!({"url": "x", "text": text, "meta": {"text": 1}}).to_string() + "\n"
            };
            let bytes: String = expected.iter().map(line).collect();
            let (found, malformed) = texts(bytes.as_bytes(), "text", OnMalformed::Fail).unwrap();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(malformed.count, 0);
        }

        #[test]
        fn any_bytes_are_counted_or_read_and_harm_nothing(bytes: Vec<u8>, json in "[\\[\\]{}\":,0-9tex\n]{0,60}") {
            texts(&bytes, "text", OnMalformed::Skip).unwrap();
            texts(json.as_bytes(), "text", OnMalformed::Skip).unwrap();
        }
    }

    #[test]
    fn malformed_lines_are_counted_and_named_or_fatal() {
        let bytes = b"\xef\xbb\xbf{\"text\": \"one\"}\r\n\n{\"txt\": \"x\"}\n[1]\n{\"text\": 7}\n{\"text\": \"two\"\n{\"text\": \"caf\xe9\"}\n\
            {\"text\": \"two\"} x\n   \n{\"text\": \"three\"}";
        let (found, malformed) = texts(bytes, "text", OnMalformed::Skip).unwrap();
        assert_eq!(found, ["one", "three"]);
        assert_eq!((malformed.count, malformed.first.len()), (6, 5));
        assert!(
            malformed.first[0].starts_with("a.jsonl: line 3: the object has no \"text\""),
            "{malformed:?}"
        );
        assert!(malformed.first[2].contains("line 5"), "{malformed:?}");
        let error = texts(bytes, "text", OnMalformed::Fail)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a.jsonl") && error.contains("line 3"),
            "{error}"
        );
        assert_eq!(texts(bytes, "txt", OnMalformed::Skip).unwrap().0, ["x"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_without_being_held() {
        let mut reader = io::BufReader::with_capacity(3, &b"12345\n123456\n\nend"[..]);
        let (mut line, mut found) = (Vec::new(), Vec::new());
        while let Some(whole) = read_line(&mut reader, &mut line, 5).unwrap() {
            assert!(line.len() <= 5);
            found.push((whole, whole.then(|| line.clone())));
        }
        let line = |text: &str| (true, Some(text.as_bytes().to_vec()));
        assert_eq!(found, [line("12345"), (false, None), line(""), line("end")]);
    }
}
