//! Lists the input files in order, with form and compression.

use super::super::DataError;
use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

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
    /// JSON: an object with a document on each line, or over some lines, or an array of them.
    Json,
    /// Each row of the Parquet file has a document.
    Parquet,
    /// CSV or TSV, which is not read.
    Table,
}

/// Compression of a file, by its name.
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
    /// Derives form and compression from the file's extensions. The number of a part does not count: `a.jsonl.003` and
    /// `a.jsonl-00003-of-00012` are JSON as `a.jsonl` is.
    pub fn of(path: &Path) -> (Self, Compression) {
        let (compression, inner) = match extension(path).as_str() {
            "gz" | "gzip" => (Compression::Gzip, path.with_extension("")),
            "zst" | "zstd" => (Compression::Zstd, path.with_extension("")),
            _ => (Compression::None, path.to_path_buf()),
        };
        let of = |path: &Path| match without_number(&extension(path)) {
            "jsonl" | "ndjson" | "jsonlines" | "json" => Self::Json,
            "parquet" => Self::Parquet,
            "csv" | "tsv" => Self::Table,
            _ => Self::Text,
        };
        let form = match without_number(&extension(&inner)).is_empty() {
            true => of(&inner.with_extension("")),
            false => of(&inner),
        };
        (form, compression)
    }
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_lowercase()
}

/// The letters before the number of a part: `jsonl` of `jsonl-00003-of-00012`, nothing of `003`.
fn without_number(extension: &str) -> &str {
    let letters = extension.len() - extension.trim_start_matches(char::is_alphabetic).len();
    let (letters, number) = extension.split_at(letters);
    let is_number = |byte| matches!(byte, b'0'..=b'9' | b'-' | b'_' | b'o' | b'f');
    match number.bytes().all(is_number) {
        true => letters,
        false => extension,
    }
}

/// Lists the files at `paths`: files, folders with their subfolders, and patterns (`*`, `?`, `[…]`, `**`) that are not
/// the name of a file.
///
/// Paths keep their order; the files of a folder or pattern are sorted by name. In a folder, hidden files, empty files
/// and links to folders are skipped; hidden and empty files that match a pattern are skipped too, and folders that match
/// one are read as if they were given. So are, in a folder with JSON or
/// Parquet files, files that are about them: `README*`, `LICENSE*`, files of text that begin with `_`, and those that
/// the `datasets` library writes beside its data.
///
/// # Errors
///
/// [`DataError::PathMissing`], [`DataError::Unreadable`], [`DataError::EmptyFile`], [`DataError::NoTextFiles`] and, for
/// a pipe or device, [`DataError::NotAFile`], with the path at fault.
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

/// The files in the folders at `paths` that [`inputs`] leaves out because they are about the data beside them.
pub(in crate::data) fn companions(paths: &[PathBuf]) -> Vec<PathBuf> {
    let folders = paths
        .iter()
        .flat_map(|path| matches(path).unwrap_or_default());
    let of = |folder: PathBuf| {
        let mut all = Vec::new();
        let walked = walk(&folder, &mut all);
        walked.map_or(Vec::new(), |()| divided(all).1)
    };
    let found = folders.filter(|path| path.is_dir()).flat_map(of);
    found.map(|input| input.path).collect()
}

/// The files of a folder that are data, and those that are about it.
fn divided(all: Vec<Input>) -> (Vec<Input>, Vec<Input>) {
    let is_data = |input: &Input| input.form != Form::Text && !is_about_data(input);
    match all.iter().any(is_data) {
        true => all.into_iter().partition(|input| !is_about_data(input)),
        false => (all, Vec::new()),
    }
}

/// Whether a file in a folder of data is not data itself, by its name.
fn is_about_data(input: &Input) -> bool {
    let name = input.path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_lowercase();
    let begins = |with: &str| name.starts_with(with);
    match input.form {
        Form::Text => begins("readme") || begins("license") || begins("licence") || begins("_"),
        Form::Json => matches!(
            &*name,
            "dataset_infos.json" | "dataset_info.json" | "dataset_dict.json" | "state.json"
        ),
        Form::Parquet | Form::Table => false,
    }
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
        let path = error.path().to_path_buf();
        DataError::unreadable(&path, error.into())
    })?;
    // The files of folders that `**` matches are matched themselves.
    let takes_folders = !text.contains("**");
    let has_text = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|metadata| match metadata.is_dir() {
            true => takes_folders && holds_text(path),
            false => metadata.is_file() && metadata.len() > 0,
        })
    };
    let is_shown = shown_by(path);
    found.retain(|path| is_shown(path) && has_text(path));
    found.sort();
    match found.is_empty() {
        true => Err(missing()),
        false => Ok(found),
    }
}

/// Whether a match of `pattern` is not hidden, as for a shell: what begins with a dot is matched by what begins with one.
fn shown_by(pattern: &Path) -> impl Fn(&Path) -> bool {
    fn names(path: &Path) -> impl Iterator<Item = Cow<'_, str>> {
        path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        })
    }
    let is_hidden = |name: Cow<'_, str>| name.starts_with('.');
    let is_literal = |name: &Cow<'_, str>| !name.contains(['*', '?', '[']);
    let literal = names(pattern).take_while(is_literal).count();
    let asks = names(pattern).skip(literal).any(is_hidden);
    move |path| asks || !names(path).skip(literal).any(is_hidden)
}

/// Whether a folder has a file of data.
fn holds_text(folder: &Path) -> bool {
    let mut all = Vec::new();
    walk(folder, &mut all).is_ok() && !divided(all).0.is_empty()
}

fn add_folder(folder: &Path, found: &mut Vec<Input>) -> Result<(), DataError> {
    let mut all = Vec::new();
    walk(folder, &mut all)?;
    found.extend(divided(all).0);
    Ok(())
}

fn walk(folder: &Path, found: &mut Vec<Input>) -> Result<(), DataError> {
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
            walk(&path, found)?;
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
            ("c4.00001.JSON.GZ", Form::Json, Compression::Gzip),
            ("a.jsonl.zst", Form::Json, Compression::Zstd),
            ("a.ndjson", Form::Json, Compression::None),
            ("train-00000.parquet", Form::Parquet, Compression::None),
            ("book.gz", Form::Text, Compression::Gzip),
            ("a.jsonlines.zstd", Form::Json, Compression::Zstd),
            ("A.PARQUET", Form::Parquet, Compression::None),
            ("table.tsv.gz", Form::Table, Compression::Gzip),
            ("a.jsonl.003", Form::Json, Compression::None),
            ("a.jsonl-00003-of-00012.gz", Form::Json, Compression::Gzip),
            ("a.parquet.1", Form::Parquet, Compression::None),
            ("a.json.txt", Form::Text, Compression::None),
            ("a.json-schema", Form::Text, Compression::None),
            ("chapter.1", Form::Text, Compression::None),
            ("v1.2.md", Form::Text, Compression::None),
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
        // As a shell writes it out: no hidden files, and folders are read.
        assert_eq!(
            names(&[folder.path().join("in/*")]),
            ["in/a.jsonl", "in/b.jsonl", "in/deep/c.txt"]
        );
        put("in/.cache/d.txt", "x");
        assert_eq!(
            names(&[folder.path().join("in/**/*")]),
            ["in/a.jsonl", "in/b.jsonl", "in/deep/c.txt"]
        );
        assert_eq!(names(&[folder.path().join("in/.h*")]), ["in/.hidden"]);
        // A path that exists is a file even if it looks like a pattern.
        assert_eq!(names(&[folder.path().join("x[1].txt")]), ["x[1].txt"]);
        let error = |name: &str| inputs(&[folder.path().join(name)]).unwrap_err();
        assert!(matches!(error("*.none"), DataError::PathMissing { .. }));
        assert!(matches!(error("none"), DataError::PathMissing { .. }));
        assert!(matches!(error("in/empty.txt"), DataError::EmptyFile { .. }));
    }

    #[test]
    fn what_is_about_the_data_of_a_folder_is_no_data() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            path
        };
        let about = ["LICENSE", "README.md", "_SUCCESS", "data/dataset_info.json"].map(put);
        put(".git/config.json");
        put(".gitattributes");
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            let name = |path: &PathBuf| {
                path.strip_prefix(folder.path())
                    .unwrap()
                    .display()
                    .to_string()
            };
            paths.iter().map(name).collect()
        };
        let paths = |found: Vec<Input>| found.into_iter().map(|input| input.path).collect();
        let root = [folder.path().to_path_buf()];
        // Without data they are texts as any others.
        assert_eq!(inputs(&root).unwrap().len(), 4);
        put("data/a.parquet");
        put("notes.txt");
        assert_eq!(
            names(paths(inputs(&root).unwrap())),
            ["data/a.parquet", "notes.txt"]
        );
        assert_eq!(companions(&root), about);
        assert_eq!(inputs(&about).unwrap().len(), 4);
    }
}
