//! Tab-separated values with a header. Quotation marks are plain text, and a line is a row.

use super::super::TaskError;
use super::super::file::lines;
use super::super::place::Place;
use super::cell::{Cell, Row};
use super::columns::find;
use std::path::Path;

/// Rows with too few columns that are left out at most, as a part of all rows.
const SHORT_ROWS: f64 = 0.001;

/// What is done about rows with too few columns.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::tasks) enum Short {
    /// They are an error.
    Refused,
    /// They are left out, unless more than 1 in 1000 rows is short.
    LeftOut,
}

/// The cells of the columns `wanted` of each row. `header` is given for a file without one.
///
/// # Errors
///
/// [`TaskError::MissingColumn`], [`TaskError::RepeatedColumn`] or [`TaskError::ColumnCount`].
pub(in crate::tasks) fn rows(
    path: &Path,
    text: &str,
    header: Option<&[&str]>,
    wanted: &[&str],
    short: Short,
) -> Result<Vec<Row>, TaskError> {
    let mut lines = lines(text);
    let names = match header {
        Some(names) => names.to_vec(),
        None => lines
            .next()
            .map_or(Vec::new(), |(_, line)| line.split('\t').collect()),
    };
    let indices = find(path, Place::Line(1), &names, wanted)?;
    let (mut rows, mut first_short, mut left_out) = (Vec::new(), None, 0_u32);
    for (number, line) in lines {
        let values: Vec<&str> = line.split('\t').collect();
        let place = Place::Line(number);
        if values.len() != names.len() {
            let error = TaskError::ColumnCount {
                path: path.to_path_buf(),
                place,
                found: values.len(),
                expected: names.len(),
            };
            if short == Short::Refused || values.len() > names.len() {
                return Err(error);
            }
            first_short.get_or_insert(error);
            left_out += 1;
            continue;
        }
        let cell = |&index: &usize| Cell::Text(values[index].to_owned());
        let cells = indices.iter().map(cell).collect();
        rows.push(Row { place, cells });
    }
    match first_short {
        Some(error) if f64::from(left_out) > SHORT_ROWS * rows.len() as f64 => Err(error),
        _ => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, short: Short) -> Result<Vec<Row>, String> {
        rows(Path::new("a.tsv"), text, None, &["b", "a"], short).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_come_by_name_and_quotation_marks_are_text() {
        let rows = read("a\tb\r\n\"x\t 'y\r\n\t\n\n\r\n", Short::Refused).unwrap();
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(rows[0].cells, [text(" 'y"), text("\"x")]);
        assert_eq!(
            (rows[1].place, &rows[1].cells[..]),
            (Place::Line(3), &[text(""), text("")][..])
        );
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn a_row_with_another_number_of_columns_is_an_error_with_its_line() {
        for (text, part) in [
            (
                "a\tb\n1\t2\n3",
                "line 3: the number of columns is 1, expected 2",
            ),
            (
                "a\tb\n1\t2\t3",
                "line 2: the number of columns is 3, expected 2",
            ),
            (
                "a\tb\n\n1\t2",
                "line 2: the number of columns is 1, expected 2",
            ),
            (
                "a\tc\n1\t2",
                "line 1: no column \"b\" (the columns are: a, c)",
            ),
            (
                "a\tb\tb\n1\t2\t3",
                "line 1: several columns are named \"b\"",
            ),
        ] {
            let error = read(text, Short::Refused).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn few_short_rows_can_be_left_out() {
        let whole = "1\t2\n".repeat(1000);
        assert_eq!(
            read(&format!("a\tb\n{whole}3\n"), Short::LeftOut)
                .unwrap()
                .len(),
            1000
        );
        let error = read(&format!("a\tb\n3\n4\n{whole}"), Short::LeftOut).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        let error = read(&format!("a\tb\n{whole}1\t2\t3\n"), Short::LeftOut).unwrap_err();
        assert!(
            error.contains("line 1002: the number of columns is 3"),
            "{error}"
        );
    }
}
