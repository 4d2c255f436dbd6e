//! Comma-separated values with a header, quoted as RFC 4180 says. A quoted text may have line ends.
//!
//! The `csv` crate reads to the end of the file if a quotation mark is never closed. A last row of our own shows
//! whether that happened: it comes back by itself only if no quotation mark is open before it.

use super::super::TaskError;
use super::super::place::Place;
use super::cell::{Cell, Row};
use super::columns::find;
use ::csv::{ByteRecord, ReaderBuilder};
use std::io::{self, Read};
use std::path::Path;

/// A row behind the end of the file.
const LAST: &str = "end";

/// The cells of the columns `wanted` of each row. Empty lines are left out.
///
/// # Errors
///
/// [`TaskError::MissingColumn`], [`TaskError::RepeatedColumn`], [`TaskError::ColumnCount`] or
/// [`TaskError::UnclosedQuote`].
pub(super) fn rows(path: &Path, text: &str, wanted: &[&str]) -> Result<Vec<Row>, TaskError> {
    let whole = text.as_bytes().chain(&b"\n"[..]).chain(LAST.as_bytes());
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(whole);
    let mut next = || -> Result<ByteRecord, TaskError> {
        let mut record = ByteRecord::new();
        let refused = |error| TaskError::unreadable(path, io::Error::from(error));
        reader.read_byte_record(&mut record).map_err(refused)?;
        Ok(record)
    };
    let mut lines = Lines {
        text,
        at: 0,
        line: 1,
    };
    let (mut columns, mut rows) = (None, Vec::new());
    let mut record = next()?;
    loop {
        let line = lines.of(&record);
        let place = Place::Line(line);
        let following = next()?;
        if following.is_empty() {
            let path = path.to_path_buf();
            return match record.iter().eq([LAST.as_bytes()]) {
                true => Ok(rows),
                false => Err(TaskError::UnclosedQuote { path, line }),
            };
        }
        let values: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
        match &columns {
            None => columns = Some((find(path, place, &values, wanted)?, values.len())),
            Some((_, expected)) if values.len() != *expected => {
                return Err(TaskError::ColumnCount {
                    path: path.to_path_buf(),
                    place,
                    found: values.len(),
                    expected: *expected,
                });
            }
            Some((indices, _)) => {
                let cell = |&index: &usize| Cell::Text(values[index].clone().into_owned());
                let cells = indices.iter().map(cell).collect();
                rows.push(Row { place, cells });
            }
        }
        record = following;
    }
}

/// Counts lines up to records.
struct Lines<'a> {
    text: &'a str,
    /// The position up to which lines are counted, and its line.
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line where a record begins. The position that the `csv` crate gives is before the empty lines ahead of it.
    fn of(&mut self, record: &ByteRecord) -> u64 {
        let bytes = self.text.as_bytes();
        let start = record.position().map_or(0, |position| position.byte());
        let start = usize::try_from(start)
            .unwrap_or(usize::MAX)
            .clamp(self.at, bytes.len());
        let blank = bytes[start..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let start = start + blank.count();
        self.line += bytes[self.at..start]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count() as u64;
        self.at = start;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Row>, String> {
        rows(Path::new("a.csv"), text, &["b", "a"]).map_err(|error| error.to_string())
    }

    #[test]
    fn quoted_texts_have_commas_quotation_marks_and_line_ends() {
        let text = "a,b\r\n\"x, \"\"y\"\"\r\nz\",1\r\n\r\n\r\nend,5\" pipe\r\n";
        let rows = read(text).unwrap();
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(rows[0].cells, [text("1"), text("x, \"y\"\r\nz")]);
        assert_eq!(rows[1].cells, [text("5\" pipe"), text("end")]);
        let places: Vec<_> = rows.iter().map(|row| row.place).collect();
        assert_eq!(places, [Place::Line(2), Place::Line(6)]);
    }

    #[test]
    fn a_row_called_end_is_a_row() {
        let rows = rows(Path::new("a.csv"), "a\nend\n\"\"\nend", &["a"]).unwrap();
        let text = |text: &str| Cell::Text(text.to_owned());
        let cells: Vec<_> = rows.into_iter().flat_map(|row| row.cells).collect();
        assert_eq!(cells, [text("end"), text(""), text("end")]);
    }

    #[test]
    fn faults_have_their_line() {
        for (text, part) in [
            (
                "a,b\n1,2\n\n\"3\n,4\n5,6\n",
                "line 4: the row has a quotation mark that is never closed",
            ),
            ("a,b\n\"", "line 2: the row has a quotation mark"),
            ("\"a,b\n1,2\n", "line 1: the row has a quotation mark"),
            (
                "a,b\n\"1\n2\",2\n3\n",
                "line 4: the number of columns is 1, expected 2",
            ),
            (
                "\n\na,c\n1,2",
                "line 3: no column \"b\" (the columns are: a, c)",
            ),
            ("a,b,a\n1,2,3", "line 1: several columns are named \"a\""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
