//! Lists the input files in order, with form and compression.

use super::super::DataError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An input file.
///
/// The `Debug` text of its fields is part of the key of cached and half-done work (`progress::key`). Renaming a field
/// or a variant would pack everything again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Path of the file.
    pub path: PathBuf,
    /// Form of its documents.
    pub form: Form,
    /// Compression.
    pub compression: Compression,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of modification, in nanoseconds since 1970; 0 where the system does not report it.
    pub changed: u64,
}

/// Form of the documents in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The whole file is one document.
    Text,
    /// Each line is a JSON object with a document.
    Lines,
    /// Each row of the Parquet file has a document.
    Parquet,
}

/// Compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Form {
    /// Derives form and compression from the file's extensions.
    pub fn of(path: &Path) -> (Self, Compression) {
        let extension = |path: &Path| {
            let extension = path.extension().unwrap_or_default();
            extension.to_string_lossy().to_lowercase()
        };
        let (compression, inner) = match extension(path).as_str() {
            "gz" => (Compression::Gzip, path.with_extension("")),
            "zst" => (Compression::Zstd, path.with_extension("")),
            _ => (Compression::None, path.to_path_buf()),
        };
        let form = match extension(&inner).as_str() {
            "jsonl" | "ndjson" | "json" => Self::Lines,
            "parquet" => Self::Parquet,
            _ => Self::Text,
        };
        (form, compression)
    }
}

/// Lists the files at `paths`: files, folders with their subfolders, and patterns (`*`, `?`, `[…]`, `**`) that are not
/// the name of a file.
///
/// Paths keep their order; the files of a folder or pattern are sorted by name. In a folder, hidden files, empty files
/// and links to folders are skipped; empty files that match a pattern are skipped too.
///
/// # Errors
///
/// [`DataError::PathMissing`], [`DataError::Unreadable`], [`DataError::EmptyFile`] and [`DataError::NoTextFiles`], with
/// the path at fault.
pub fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>, DataError> {
    let mut found = Vec::new();
    for path in paths {
        for path in matches(path)? {
            let before = found.len();
            let metadata = metadata(&path)?;
            match metadata.is_dir() {
                true => add_folder(&path, &mut found)?,
                false if !metadata.is_file() => return Err(DataError::NotAFile { path }),
                false if metadata.len() == 0 => return Err(DataError::EmptyFile { path }),
                false => found.push(input(&path, &metadata)),
            }
            if found.len() == before {
                return Err(DataError::NoTextFiles { path });
            }
        }
    }
    Ok(found)
}

/// The path itself, or the files it matches as a pattern.
fn matches(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let missing = || DataError::PathMissing {
        path: path.to_path_buf(),
    };
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![path.to_path_buf()]);
    }
    let found = glob::glob(&text).map_err(|_| missing())?;
    let mut found: Vec<PathBuf> = found.collect::<Result<_, _>>().map_err(|error| {
        DataError::unreadable(error.path(), io::Error::other(error.to_string()))
    })?;
    let has_text = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
    };
    found.retain(has_text);
    found.sort();
    match found.is_empty() {
        true => Err(missing()),
        false => Ok(found),
    }
}

fn add_folder(folder: &Path, found: &mut Vec<Input>) -> Result<(), DataError> {
    let entries = fs::read_dir(folder)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map_err(|reason| DataError::unreadable(folder, reason))?;
    let hidden = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    let entries = entries.iter().filter(|entry| !hidden(entry));
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let metadata = metadata(&path)?;
        if metadata.is_file() && metadata.len() > 0 {
            found.push(input(&path, &metadata));
        } else if metadata.is_dir() && !path.is_symlink() {
            // A link to a folder may lead back here, so links are skipped.
            add_folder(&path, found)?;
        }
    }
    Ok(())
}

fn input(path: &Path, metadata: &fs::Metadata) -> Input {
    let (form, compression) = Form::of(path);
    let changed = metadata.modified().ok();
    let since = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Input {
        path: path.to_path_buf(),
        form,
        compression,
        bytes: metadata.len(),
        changed: since.map_or(0, |since| since.as_nanos() as u64),
    }
}

fn metadata(path: &Path) -> Result<fs::Metadata, DataError> {
    fs::metadata(path).map_err(|reason| DataError::unreadable(path, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_form_and_compression() {
        for (name, form, compression) in [
            ("a.txt", Form::Text, Compression::None),
            ("README", Form::Text, Compression::None),
            ("c4.00001.JSON.GZ", Form::Lines, Compression::Gzip),
            ("a.jsonl.zst", Form::Lines, Compression::Zstd),
            ("a.ndjson", Form::Lines, Compression::None),
            ("train-00000.parquet", Form::Parquet, Compression::None),
            ("book.gz", Form::Text, Compression::Gzip),
        ] {
            assert_eq!(Form::of(Path::new(name)), (form, compression), "{name}");
        }
    }

    #[test]
    fn paths_keep_their_order_and_folders_and_patterns_are_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let z = put("z.txt", "z");
        for name in [
            "in/b.jsonl",
            "in/a.jsonl",
            "in/deep/c.txt",
            "in/.hidden",
            "x[1].txt",
        ] {
            put(name, "x");
        }
        put("in/empty.txt", "");
        let names = |paths: &[PathBuf]| -> Vec<String> {
            let found = inputs(paths).unwrap().into_iter();
            found
                .map(|input| {
                    input
                        .path
                        .strip_prefix(folder.path())
                        .unwrap()
                        .display()
                        .to_string()
                })
                .collect()
        };
        assert_eq!(
            names(&[z, folder.path().join("in")]),
            ["z.txt", "in/a.jsonl", "in/b.jsonl", "in/deep/c.txt"]
        );
        assert_eq!(
            names(&[folder.path().join("in/*.jsonl")]),
            ["in/a.jsonl", "in/b.jsonl"]
        );
        assert_eq!(
            names(&[folder.path().join("**/*.tx?")]),
            ["in/deep/c.txt", "x[1].txt", "z.txt"]
        );
        // A path that exists is a file even if it looks like a pattern.
        assert_eq!(names(&[folder.path().join("x[1].txt")]), ["x[1].txt"]);
        let error = |name: &str| inputs(&[folder.path().join(name)]).unwrap_err();
        assert!(matches!(error("*.none"), DataError::PathMissing { .. }));
        assert!(matches!(error("none"), DataError::PathMissing { .. }));
        assert!(matches!(error("in/empty.txt"), DataError::EmptyFile { .. }));
    }
}
