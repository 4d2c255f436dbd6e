//! JSON lines: one object a line.

use super::super::TaskError;
use super::super::file::lines;
use super::super::place::Place;
use super::cell::{Cell, Row};
use serde_json::{Map, Value};
use std::path::Path;

/// The fields `wanted` of each object. Empty lines are left out.
///
/// # Errors
///
/// [`TaskError::NotJson`] or [`TaskError::MissingColumn`].
pub(in crate::tasks) fn rows(
    path: &Path,
    text: &str,
    wanted: &[&str],
) -> Result<Vec<Row>, TaskError> {
    let filled = lines(text).filter(|(_, line)| !line.trim_ascii().is_empty());
    filled
        .map(|(number, line)| row(path, number, line, wanted))
        .collect()
}

/// Whether an object has the field.
pub(super) fn some_object_has(text: &str, field: &str) -> bool {
    let object = |line| serde_json::from_str::<Map<String, Value>>(line);
    lines(text).any(|(_, line)| object(line).is_ok_and(|object| object.contains_key(field)))
}

fn row(path: &Path, line: u64, text: &str, wanted: &[&str]) -> Result<Row, TaskError> {
    let not_json = |reason: String| TaskError::NotJson {
        path: path.to_path_buf(),
        line,
        reason,
    };
    let mut object = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        Ok(other) => return Err(not_json(format!("{}, expected an object", kind(&other)))),
        Err(error) => {
            let message = error.to_string();
            let said = message.split(" at line ").next().unwrap_or_default();
            return Err(not_json(format!(
                "not JSON: {said}, column {}",
                error.column()
            )));
        }
    };
    let place = Place::Line(line);
    let missing = wanted.iter().find(|&&column| !object.contains_key(column));
    if let Some(&column) = missing {
        return Err(TaskError::MissingColumn {
            path: path.to_path_buf(),
            place,
            column: column.to_owned(),
            columns: object.keys().cloned().collect(),
        });
    }
    let cells = wanted
        .iter()
        .map(|column| cell(&mut object, column))
        .collect();
    Ok(Row { place, cells })
}

fn cell(object: &mut Map<String, Value>, column: &str) -> Cell {
    match object.get(column) {
        Some(Value::String(text)) => Cell::Text(text.clone()),
        Some(Value::Number(number)) => Cell::Scalar(number.to_string()),
        Some(Value::Bool(value)) => Cell::Scalar(value.to_string()),
        Some(other) => Cell::Other(kind(other)),
        None => Cell::Other("missing"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Row>, String> {
        rows(Path::new("a.jsonl"), text, &["b", "a"]).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_come_by_name_with_the_text_of_scalars() {
        let text = "{\"a\":\"x\\n\",\"b\":1}\r\n \n{\"b\":true,\"a\":null,\"c\":[]}\n{\"a\":1.0,\"b\":[]}\n\n";
        let rows = read(text).unwrap();
        let scalar = |text: &str| Cell::Scalar(text.to_owned());
        assert_eq!(rows[0].cells, [scalar("1"), Cell::Text("x\n".to_owned())]);
        assert_eq!(rows[1].cells, [scalar("true"), Cell::Other("null")]);
        assert_eq!(rows[2].cells, [Cell::Other("an array"), scalar("1.0")]);
        let places: Vec<_> = rows.iter().map(|row| row.place).collect();
        assert_eq!(places, [1, 3, 4].map(Place::Line));
    }

    #[test]
    fn faults_have_their_line() {
        for (text, part) in [
            (
                "{\"a\":1,\"b\":2}\n{\"a\":1}",
                "line 2: no column \"b\" (the columns are: a)",
            ),
            (
                "[{\"a\":1}]",
                "line 1: an array, expected an object; write one JSON object",
            ),
            (
                "\n{\"a\":1,\n\"b\":2}",
                "line 2: not JSON: EOF while parsing a value, column 7",
            ),
            (
                "{\"a\":NaN,\"b\":2}",
                "line 1: not JSON: expected value, column 6",
            ),
            (
                "{\"a\":1,\"b\":2} {}",
                "line 1: not JSON: trailing characters",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
