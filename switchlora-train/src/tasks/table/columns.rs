//! Finds columns by their names.

use super::super::TaskError;
use super::super::place::Place;
use std::path::Path;

/// The index in `names` of each column of `wanted`.
///
/// # Errors
///
/// [`TaskError::MissingColumn`] or [`TaskError::RepeatedColumn`].
pub(super) fn find<S: AsRef<str>>(
    path: &Path,
    place: Place,
    names: &[S],
    wanted: &[&str],
) -> Result<Vec<usize>, TaskError> {
    let find = |&column: &&str| {
        let is_it = |name: &S| name.as_ref() == column;
        match names.iter().position(is_it) {
            None => Err(TaskError::MissingColumn {
                path: path.to_path_buf(),
                place,
                column: column.to_owned(),
                columns: names.iter().map(|name| name.as_ref().to_owned()).collect(),
            }),
            Some(first) if names[first + 1..].iter().any(is_it) => Err(TaskError::RepeatedColumn {
                path: path.to_path_buf(),
                place,
                column: column.to_owned(),
            }),
            Some(index) => Ok(index),
        }
    };
    wanted.iter().map(find).collect()
}
