//! Reads a user's text files, and says exactly what is wrong with a file that is not text.

use super::read::{
    BytesRead, Input, inputs, looks_like_json_lines, not_text, open, warn_of_json_lines,
};
use super::{DataError, Document};
use std::io::Read;
use std::path::PathBuf;
use std::slice;

/// Reads the files at these paths, one document per file, in the order of [`inputs`].
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Document>, DataError> {
    let mut documents = Vec::new();
    let mut unlike = Vec::new();
    for path in paths {
        let before = documents.len();
        for input in inputs(slice::from_ref(path))? {
            let document = read_file(&input)?;
            if document
                .as_ref()
                .is_some_and(|document| looks_like_json_lines(document.text.as_bytes()))
            {
                unlike.push(input.path);
            }
            documents.extend(document);
        }
        if documents.len() == before {
            let path = path.clone();
            return Err(match path.is_dir() {
                true => DataError::NoTextFiles { path },
                false => DataError::EmptyFile { path },
            });
        }
    }
    warn_of_json_lines(&unlike);
    Ok(documents)
}

/// Reads one file, without its byte order mark. `None` if there is no text in it.
fn read_file(input: &Input) -> Result<Option<Document>, DataError> {
    let path = &input.path;
    let mut bytes = Vec::new();
    let mut reader = open(input, &BytesRead::default())?;
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|reason| DataError::unreadable(path, reason))?;
    if let Some(error) = not_text(path, &bytes, 0, 0) {
        return Err(error);
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    let name = path.display().to_string();
    Ok((!text.is_empty()).then_some(Document { name, text }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn read_one(path: PathBuf) -> Result<Vec<Document>, DataError> {
        read(&[path])
    }

    #[test]
    fn a_folder_is_read_in_order_with_the_folders_in_it() {
        let folder = folder(&[
            ("c.txt", b"three"),
            ("b/inner.txt", b"two"),
            ("a.txt", "\u{feff}one".as_bytes()),
            (".hidden", b"\0"),
            ("empty", b""),
        ]);
        let texts: Vec<_> = read_one(folder.path().into())
            .unwrap()
            .into_iter()
            .map(|document| document.text)
            .collect();
        assert_eq!(texts, ["one", "two", "three"]);
    }

    #[test]
    fn a_missing_path_is_named() {
        let error = read_one("no/such/file.txt".into()).unwrap_err();
        assert!(matches!(&error, DataError::PathMissing { .. }));
        assert!(error.to_string().contains("no/such/file.txt"));
    }

    #[test]
    fn an_empty_file_is_refused_when_it_is_named() {
        let folder = folder(&[("empty.txt", b"")]);
        let error = read_one(folder.path().join("empty.txt")).unwrap_err();
        assert!(matches!(error, DataError::EmptyFile { .. }));
    }

    #[test]
    fn a_binary_file_is_refused_with_the_place() {
        let folder = folder(&[("image", b"PNG\x01\0\xff")]);
        let error = read_one(folder.path().into()).unwrap_err();
        assert!(matches!(error, DataError::Binary { offset: 4, .. }));
    }

    #[test]
    fn a_file_in_another_encoding_is_refused_with_the_place() {
        let folder = folder(&[("latin1.txt", b"caf\xe9 noir")]);
        let error = read_one(folder.path().join("latin1.txt")).unwrap_err();
        assert!(matches!(error, DataError::NotUtf8 { offset: 3, .. }));
    }

    #[test]
    fn a_folder_without_text_is_refused() {
        let folder = folder(&[(".hidden", b"text"), ("inner/empty", b"")]);
        let error = read_one(folder.path().into()).unwrap_err();
        assert!(matches!(error, DataError::NoTextFiles { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_back_to_the_folder_does_not_loop() {
        let folder = folder(&[("a.txt", b"one")]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        assert_eq!(read_one(folder.path().into()).unwrap().len(), 1);
    }
}
