//! Reads the documents of a JSON file: objects one after the other, or one array, whose elements may also be strings.
//!
//! A value begins on a line and may go on over further lines. A line that is not JSON is malformed, and reading goes on
//! with the next line. An array must be whole: if it is not, nothing tells how many documents are missing.

use super::super::DataError;
use super::brief::brief;
use super::fields::{text_of_element, text_of_object};
use super::held::{Held, line_end};
use super::malformed::Malformed;
use super::values::{Element, Found, Line, Wrong, element, line};
use std::collections::VecDeque;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Longest line and longest value in bytes; a longer one is malformed. It bounds the memory that a hostile file can take.
const LONGEST: usize = 256 << 20;

/// The texts of a JSON file, in order.
pub(in crate::data) struct Json {
    held: Held,
    path: PathBuf,
    field: String,
    shape: Shape,
    /// Up to this byte of the file a value does not go on over lines: it was tried, and there was none.
    single: u64,
    /// Texts that [`next`](Self::next) has not returned yet.
    waiting: VecDeque<String>,
    /// Whether there was a text.
    any: bool,
    longest: usize,
}

/// What a file turns out to be.
enum Shape {
    /// Nothing has been read yet.
    Begin,
    /// Values, on lines.
    Lines,
    /// An array that began on this line, and whether its first element is still to come.
    Array(u64, bool),
    /// An array that ended on this line.
    Ended(u64),
}

impl Json {
    pub fn new(reader: Box<dyn BufRead>, path: &Path, field: &str) -> Self {
        Self {
            held: Held::new(reader),
            path: path.to_path_buf(),
            field: field.to_owned(),
            shape: Shape::Begin,
            single: 0,
            waiting: VecDeque::new(),
            any: false,
            longest: LONGEST,
        }
    }

    /// Reads the next text. Malformed lines and elements before it are added to `malformed`.
    ///
    /// # Errors
    ///
    /// [`DataError::Unreadable`] or [`DataError::Content`], or the errors of [`Malformed::add`].
    pub fn next(&mut self, malformed: &mut Malformed) -> Result<Option<String>, DataError> {
        loop {
            if let Some(text) = self.waiting.pop_front() {
                self.any = true;
                return Ok(Some(text));
            }
            let goes_on = match self.shape {
                Shape::Begin => self.begin()?,
                Shape::Lines => self.line(malformed)?,
                Shape::Array(began, first) => self.element(began, first, malformed)?,
                Shape::Ended(line) => self.after(line)?,
            };
            if !goes_on {
                return Ok(None);
            }
        }
    }

    /// Passes the byte order mark and decides between lines and an array. `false` at the end of the file.
    fn begin(&mut self) -> Result<bool, DataError> {
        self.more()?;
        if self.held.rest().starts_with("\u{feff}".as_bytes()) {
            self.held.pass("\u{feff}".len());
        }
        loop {
            let rest = self.held.rest();
            let blank = rest
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            let blank = blank.count();
            match rest.get(blank).copied() {
                Some(b'[') if self.is_array(blank)? => {
                    self.held.pass(blank);
                    self.shape = Shape::Array(self.held.line, true);
                    self.held.pass(1);
                    return Ok(true);
                }
                Some(_) => {
                    self.shape = Shape::Lines;
                    return Ok(true);
                }
                None if self.held.ended => return Ok(false),
                None => {
                    self.held.pass(blank);
                    self.more()?;
                }
            }
        }
    }

    /// Whether the `[` behind `blank` unread bytes begins an array, and not a line such as `[INFO] started`.
    fn is_array(&mut self, blank: usize) -> Result<bool, DataError> {
        loop {
            let rest = &self.held.rest()[blank + 1..];
            match element(rest, true, self.held.ended) {
                Found::Whole(_) => return Ok(true),
                // An element that is too long is told as one.
                Found::Cut if rest.len() > self.longest => return Ok(true),
                Found::Wrong(wrong) if self.is_final(blank + 1 + wrong.line) => {
                    if !self.held.make_finite() {
                        let rest = self.held.rest()[blank + 1..].iter();
                        let next = rest.copied().find(|byte| !matches!(byte, b' ' | b'\t'));
                        let is_word =
                            |next: u8| !matches!(next, b'{' | b'[' | b'"' | b'\'' | b'\r' | b'\n');
                        return Ok(!next.is_some_and(is_word));
                    }
                }
                Found::Cut | Found::Wrong(_) => self.more()?,
            }
        }
    }

    /// Reads the values that begin on the next line. `false` at the end of the file.
    fn line(&mut self, malformed: &mut Malformed) -> Result<bool, DataError> {
        let ended = self.held.ended;
        let rest = self.held.rest();
        if rest.is_empty() && ended {
            return Ok(false);
        }
        let found = match self.held.passed < self.single {
            true => match line_end(rest, ended).or(ended.then_some(rest.len())) {
                Some(end) => line(&rest[..end], true),
                None => Found::Cut,
            },
            false => line(rest, ended),
        };
        match found {
            Found::Whole(line) => self.accept(line, malformed)?,
            Found::Cut if rest.len() > self.longest => {
                self.single = self.held.passed + rest.len() as u64;
                let reason = format!("longer than {} MiB", self.longest >> 20);
                self.refuse_line(reason, malformed)?;
            }
            Found::Cut => self.more()?,
            Found::Wrong(wrong) if !self.is_final(wrong.line) => self.more()?,
            Found::Wrong(wrong) => {
                if self.held.make_finite() {
                    return Ok(true);
                }
                let end = line_end(self.held.rest(), ended).unwrap_or(self.held.rest().len());
                if self.held.rest()[..end].trim_ascii().is_empty() {
                    self.held.pass(end);
                    return Ok(true);
                }
                if wrong.is_comma && !self.any {
                    let reason = format!(
                        "line {}: {}, as in an array, but no `[` before it",
                        self.held.line, wrong.reason
                    );
                    return Err(self.broken(reason));
                }
                self.single = self.single.max(self.held.passed + wrong.line as u64);
                let reason = self.explain(&wrong, end);
                self.refuse_line(reason, malformed)?;
            }
        }
        Ok(true)
    }

    /// Takes the texts of the values of a line.
    fn accept(&mut self, line: Line, malformed: &mut Malformed) -> Result<(), DataError> {
        let mut passed = 0;
        for range in line.values {
            self.held.pass(range.start - passed);
            passed = range.start;
            let value = &self.held.rest()[..range.len()];
            match text_of_object(value, &self.field) {
                Ok(text) => self.waiting.push_back(text),
                Err(reason) => {
                    let number = self.held.line;
                    malformed.add(&self.path, || format!("line {number}"), || reason)?;
                }
            }
        }
        self.held.pass(line.end - passed);
        Ok(())
    }

    fn refuse_line(&mut self, reason: String, malformed: &mut Malformed) -> Result<(), DataError> {
        let number = self.held.line;
        malformed.add(&self.path, || format!("line {number}"), || reason)?;
        let passed = self.held.pass_line();
        passed.map_err(|reason| DataError::unreadable(&self.path, reason))
    }

    /// Why the line up to `end` is not JSON.
    fn explain(&self, wrong: &Wrong, end: usize) -> String {
        let rest = self.held.rest();
        if let Err(error) = std::str::from_utf8(&rest[..end]) {
            return format!("not UTF-8, column {}", error.valid_up_to() + 1);
        }
        let reason = brief(&wrong.reason);
        match wrong.line < end {
            true => format!("not a JSON value: {reason}"),
            false => format!("not a JSON value: {reason}, on a later line"),
        }
    }

    /// Reads the next element of the array that began on line `began`.
    fn element(
        &mut self,
        began: u64,
        first: bool,
        malformed: &mut Malformed,
    ) -> Result<bool, DataError> {
        let rest = self.held.rest();
        match element(rest, first, self.held.ended) {
            Found::Whole(Element::Value(range)) => {
                self.held.pass(range.start);
                let value = &self.held.rest()[..range.len()];
                match text_of_element(value, &self.field) {
                    Ok(text) => self.waiting.push_back(text),
                    Err(reason) => {
                        let number = self.held.line;
                        malformed.add(&self.path, || format!("line {number}"), || reason)?;
                    }
                }
                self.held.pass(range.len());
                self.shape = Shape::Array(began, false);
            }
            Found::Whole(Element::End(end)) => {
                self.held.pass(end);
                self.shape = Shape::Ended(self.held.line);
            }
            Found::Cut if rest.len() > self.longest => {
                let mib = self.longest >> 20;
                let reason = format!(
                    "line {}: an element is longer than {mib} MiB",
                    self.held.line
                );
                return Err(self.broken(reason));
            }
            Found::Cut => self.more()?,
            Found::Wrong(wrong) if !self.is_final(wrong.line) => self.more()?,
            Found::Wrong(wrong) => {
                if !self.held.make_finite() {
                    self.held.pass(wrong.line);
                    let (number, reason) = (self.held.line, brief(&wrong.reason));
                    let began = match number == began {
                        true => String::new(),
                        false => format!(" in the array that begins on line {began}"),
                    };
                    return Err(self.broken(format!("line {number}: not JSON{began}: {reason}")));
                }
            }
        }
        Ok(true)
    }

    /// Checks that nothing follows the array that ended on line `line`.
    fn after(&mut self, line: u64) -> Result<bool, DataError> {
        let rest = self.held.rest();
        let blank = rest
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        if blank < rest.len() {
            self.held.pass(blank);
            let number = self.held.line;
            let reason =
                format!("line {number}: more text behind the array that ends on line {line}");
            return Err(self.broken(reason));
        }
        self.held.pass(blank);
        self.more()?;
        Ok(!(self.held.rest().is_empty() && self.held.ended))
    }

    fn broken(&self, reason: String) -> DataError {
        let advice = "correct it, or write an object on each line, as .jsonl";
        DataError::content(&self.path, reason, advice)
    }

    /// Whether more bytes cannot make JSON of the line that begins at `line`: they are in memory up to its end. The names
    /// of numbers that are not finite may be cut.
    fn is_final(&self, line: usize) -> bool {
        let (rest, ended) = (self.held.rest(), self.held.ended);
        ended || rest.len() > self.longest || line_end(&rest[line..], ended).is_some()
    }

    fn more(&mut self) -> Result<(), DataError> {
        let read = self.held.more();
        read.map_err(|reason| DataError::unreadable(&self.path, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::super::OnMalformed;
    use super::*;
    use proptest::prelude::*;
    use std::io;

    fn texts(
        bytes: &[u8],
        field: &str,
        on: OnMalformed,
    ) -> Result<(Vec<String>, Malformed), DataError> {
        let reader = io::BufReader::with_capacity(7, io::Cursor::new(bytes.to_vec()));
        let mut json = Json::new(Box::new(reader), Path::new("a.jsonl"), field);
        json.longest = 1 << 20;
        let mut malformed = Malformed::new(on, 0);
        let mut texts = Vec::new();
        while let Some(text) = json.next(&mut malformed)? {
            texts.push(text);
        }
        Ok((texts, malformed))
    }

    fn read(json: &str) -> Vec<String> {
        texts(json.as_bytes(), "text", OnMalformed::Fail).unwrap().0
    }

    fn refused(json: &str) -> String {
        texts(json.as_bytes(), "text", OnMalformed::Skip)
            .unwrap_err()
            .to_string()
    }

    proptest! {
        #[test]
        fn texts_come_back_whatever_is_in_them(
            expected in prop::collection::vec("\\PC{0,30}[\n\"\\\\]?", 0..8), pretty: bool, end in "(\n|\r|\r\n| |)",
        ) {
            let value = |text: &String| serde_json::json!({"url": "x", "text": text, "meta": {"text": 1}});
            let written = |value: &serde_json::Value| match pretty {
                true => serde_json::to_string_pretty(value).unwrap(),
                false => value.to_string(),
            };
            let values: Vec<_> = expected.iter().map(value).collect();
            let sequence: String = values.iter().map(|value| written(value) + &end).collect();
            prop_assert_eq!(&read(&sequence), &expected);
            prop_assert_eq!(&read(&written(&values.into())), &expected);
            prop_assert_eq!(&read(&written(&expected.clone().into())), &expected);
        }

        #[test]
        fn any_bytes_are_counted_or_read_or_refused_and_harm_nothing(
            bytes: Vec<u8>, json in "[\\[\\]{}\":,0-9tex\n\rN-]{0,60}",
        ) {
            let _ = texts(&bytes, "text", OnMalformed::Skip);
            let _ = texts(json.as_bytes(), "text", OnMalformed::Skip);
        }

        #[test]
        fn a_damaged_line_loses_itself_alone(
            before in 0..4_usize, after in 1..4_usize, cut in prop::sample::select(vec!["{\"text\": \"tw", "{\"text\": \"two\"", "{", "{\"a\":", "{\"a\": [", "[", "nonsense", "{\"a\": {\"b\": [1,"]),
        ) {
            let line = |k: usize| format!("{{\"text\": \"{k}\"}}\n");
            let lines = |from: usize, count: usize| (from..from + count).map(line).collect::<String>();
            let json = format!("{}{cut}\n{}", lines(0, before), lines(before, after));
            let (found, malformed) = match texts(json.as_bytes(), "text", OnMalformed::Skip) {
                Ok(read) => read,
                // An array that is not closed, at the beginning, is an array.
                Err(_) => { prop_assert!(cut == "[" && before == 0); return Ok(()) }
            };
            let expected: Vec<String> = (0..before + after).map(|k| k.to_string()).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(malformed.count, 1);
            let place = format!("line {}:", before + 1);
            prop_assert!(malformed.first[0].contains(&place), "{:?}", malformed);
        }
    }

    #[test]
    fn malformed_lines_are_counted_and_named_or_fatal() {
        let bytes = b"\xef\xbb\xbf{\"text\": \"one\"}\r\n\n{\"txt\": \"x\"}\n[1]\n{\"text\": 7}\n{\"text\": \"two\"\n{\"text\": \"caf\xe9\"}\n\
            {\"text\": \"two\"} x\n   \n{\"text\": \"three\"}";
        let (found, malformed) = texts(bytes, "text", OnMalformed::Skip).unwrap();
        assert_eq!(found, ["one", "three"]);
        assert_eq!((malformed.count, malformed.first.len()), (6, 5));
        for (said, part) in malformed.first.iter().zip([
            "a.jsonl: line 3: the object has no \"text\", its fields are txt",
            "line 4: an array, expected",
            "line 5: \"text\" is a number, expected a string",
            "line 6: not a JSON value: expected `,` or `}`, column 1, on a later line",
            "line 7: the text is not UTF-8",
        ]) {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
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
    fn what_is_no_text_is_named() {
        for (json, part) in [
            ("{\"text\": null}", "\"text\" is null"),
            ("{\"text\": 1e999}", "\"text\" is a number"),
            ("{\"text\": -Infinity}", "\"text\" is a number"),
            ("{\"text\": [\"a\"]}", "\"text\" is an array"),
            ("{\"text\": {\"0\": \"a\"}}", "\"text\" is an object"),
            ("{\"text\": \"\\ud800\"}", "surrogate"),
            ("{}", "the object is empty"),
            ("\"text\"", "a string, expected an object"),
            ("7", "a number, expected an object"),
            ("data: {\"text\": \"a\"}", "not a JSON value"),
            ("{\"text\": 'a'}", "not a JSON value"),
            ("{\"text\": \"a\",}", "key must be a string, column 14"),
        ] {
            let error = texts(json.as_bytes(), "text", OnMalformed::Fail).unwrap_err();
            assert!(error.to_string().contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn dots_lead_into_objects_unless_a_field_has_them() {
        let json = br#"{"a": {"b": {"c": "deep"}, "b.c": "half"}, "b": 1} {"a.b.c": "flat", "a": {"b": {"c": "no"}}}"#;
        let (found, _) = texts(json, "a.b.c", OnMalformed::Fail).unwrap();
        assert_eq!(found, ["half", "flat"]);
        let error = texts(br#"{"a": [1]}"#, "a.b", OnMalformed::Fail)
            .unwrap_err()
            .to_string();
        assert!(error.contains("\"a.b\" is missing"), "{error}");
    }

    #[test]
    fn an_array_is_read_whole_or_refused() {
        assert_eq!(read(" [ ] \n"), [""; 0]);
        assert_eq!(read("[\n\"a\",\n{\"text\":\"b\"}\n]\n"), ["a", "b"]);
        for (json, part) in [
            (
                "[\n{\"text\": \"a\"},\n{\"text\": \"b\"}\n",
                "line 4: not JSON in the array that begins on line 1: the array is cut off",
            ),
            ("[{\"text\": \"a\"},\n{\"text\": \"b", "line 2: not JSON"),
            (
                "[\n{\"text\": \"a\"},\n]",
                "line 3: not JSON in the array that begins on line 1: a comma before `]`",
            ),
            (
                "[{\"text\": \"a\"}\n{\"text\": \"b\"}]",
                "line 2: not JSON in the array that begins on line 1: expected `,`",
            ),
            (
                "[\"a\"]\n[\"b\"]\n",
                "line 2: more text behind the array that ends on line 1",
            ),
        ] {
            let said = refused(json);
            assert!(said.contains(part), "no {part:?} in {said}");
        }
        let (found, malformed) = texts(
            b"[INFO] began\n{\"text\": \"a\"}\n",
            "text",
            OnMalformed::Skip,
        )
        .unwrap();
        assert_eq!((found, malformed.count), (vec!["a".to_owned()], 1));
    }

    #[test]
    fn a_value_that_is_too_long_is_passed_over_and_takes_no_memory() {
        let long = format!("{{\"text\": \"{}\"}}", "x".repeat(2 << 20));
        let json = format!("{{\"text\": \"a\"}}\n{long}\n{{\"text\": \"b\"}}\n");
        let (found, malformed) = texts(json.as_bytes(), "text", OnMalformed::Skip).unwrap();
        assert_eq!((found.len(), malformed.count), (2, 1));
        assert!(
            malformed.first[0].contains("line 2: longer than 1 MiB"),
            "{malformed:?}"
        );
        assert!(refused(&format!("[{long}]")).contains("longer than 1 MiB"));
    }

    #[test]
    fn lines_that_never_end_take_time_in_proportion_to_their_number() {
        // Each line begins a value that goes on to the end of the file.
        for line in ["{\"a\":\n", "[[1],\n", "{\"a\": [NaN,\n"] {
            let json = line.repeat(200_000);
            let began = std::time::Instant::now();
            let _ = texts(json.as_bytes(), "text", OnMalformed::Skip);
            assert!(began.elapsed().as_secs() < 20, "{line:?}");
        }
    }
}
