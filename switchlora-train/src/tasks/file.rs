//! Reads a whole text file.

use super::TaskError;
use std::fs;
use std::path::Path;

/// The text of a UTF-8 file, without its byte-order mark.
///
/// # Errors
///
/// [`TaskError::PathMissing`], [`TaskError::Unreadable`], [`TaskError::NotUtf8`], or [`TaskError::NoRows`] if the file
/// is empty.
pub(super) fn read_text(path: &Path) -> Result<String, TaskError> {
    let mut bytes = fs::read(path).map_err(|reason| TaskError::unreadable(path, reason))?;
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let ends = before.iter().filter(|&&byte| byte == b'\n').count();
        TaskError::NotUtf8 {
            path: path.to_path_buf(),
            line: ends as u64 + 1,
        }
    })?;
    match text.trim_ascii().is_empty() {
        true => Err(TaskError::no_rows(path, "the file is empty")),
        false => Ok(text),
    }
}

/// The lines of a text with their numbers, without line ends. Empty lines at the end are left out.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let text = text.trim_end_matches(['\n', '\r']);
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    (1..).zip(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_line_feeds_only_and_empty_ones_at_the_end_do_not_count() {
        let found: Vec<_> = lines("a\u{85}b\r\n\nc\rd\u{2028}\n\r\n\n").collect();
        assert_eq!(found, [(1, "a\u{85}b"), (2, ""), (3, "c\rd\u{2028}")]);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_and_a_wrong_byte_has_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tsv");
        fs::write(&path, b"\xef\xbb\xbfa\tb").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a\tb");
        fs::write(&path, b"a\nb\n\xff").unwrap();
        let error = read_text(&path).unwrap_err().to_string();
        assert!(error.contains("line 3: not UTF-8"), "{error}");
        fs::write(&path, b"\xef\xbb\xbf \r\n").unwrap();
        let error = read_text(&path).unwrap_err().to_string();
        assert!(error.contains("the file is empty"), "{error}");
        let error = read_text(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it is a folder"), "{error}");
        let error = read_text(&folder.path().join("b")).unwrap_err().to_string();
        assert!(error.contains("no such file"), "{error}");
    }
}
