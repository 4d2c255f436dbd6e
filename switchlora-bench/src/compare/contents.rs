//! Identifies the files that trainings read by their content, each read once however many variants name it.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use switchlora_train::hexadecimal;

/// The hashes of the files that have been read.
#[derive(Default)]
pub(super) struct Contents {
    files: HashMap<PathBuf, (Stamp, [u8; 32])>,
}

/// Length and time of modification of a file.
type Stamp = (u64, Option<SystemTime>);

impl Contents {
    /// A hash of the contents of files, in this order. Their names and places do not matter.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn of<'a>(&mut self, files: impl IntoIterator<Item = &'a Path>) -> Result<String> {
        let mut whole = Sha256::new();
        for path in files {
            whole.update(self.of_file(path)?);
        }
        Ok(hexadecimal(whole.finalize()))
    }

    /// As [`of`](Self::of), of the file at `path`, or of the files in the folder there, by their names.
    ///
    /// # Errors
    ///
    /// The folder or a file cannot be read.
    pub fn at(&mut self, path: &Path) -> Result<String> {
        let files = files_of(path)?;
        self.of(files.iter().map(|file| &**file))
    }

    /// Checks that no file has changed since it was read: a training that reads it now would have the name of another.
    ///
    /// # Errors
    ///
    /// A file has changed, or cannot be looked at.
    pub fn unchanged(&self) -> Result<()> {
        for (path, (before, _)) in &self.files {
            if stamp(path)? != *before {
                bail!(
                    "{} has changed since this comparison began: start it again when nobody writes the file any more (what \
                     has been trained on it before is trained anew)",
                    path.display()
                );
            }
        }
        Ok(())
    }

    fn of_file(&mut self, path: &Path) -> Result<[u8; 32]> {
        if let Some((_, known)) = self.files.get(path) {
            return Ok(*known);
        }
        // Before it is read, so that a change meanwhile is noticed.
        let before = stamp(path)?;
        let mut hash = Sha256::new();
        let read = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hash));
        read.with_context(|| path.display().to_string())?;
        let hash: [u8; 32] = hash.finalize().into();
        self.files.insert(path.to_path_buf(), (before, hash));
        Ok(hash)
    }
}

fn stamp(path: &Path) -> Result<Stamp> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok((metadata.len(), metadata.modified().ok()))
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let paths: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    let mut files: Vec<_> = paths.into_iter().filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_or_vanishes_after_it_was_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, "one").unwrap();
        let mut contents = Contents::default();
        contents.at(&path).unwrap();
        contents.unchanged().unwrap();
        fs::write(&path, "one and more").unwrap();
        let said = contents.unchanged().unwrap_err().to_string();
        assert!(said.contains("text has changed"), "{said}");
        fs::remove_file(&path).unwrap();
        assert!(contents.unchanged().is_err());
    }

    #[test]
    fn contents_do_not_depend_on_names_and_a_file_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        for (path, text) in [(&a, "one"), (&b, "two"), (&c, "one")] {
            fs::write(path, text).unwrap();
        }
        let mut contents = Contents::default();
        let pair = contents.of([&*a, &*b]).unwrap();
        assert_eq!(pair, contents.of([&*c, &*b]).unwrap());
        assert_ne!(pair, contents.of([&*b, &*a]).unwrap());
        fs::remove_file(&a).unwrap();
        assert_eq!(pair, contents.of([&*a, &*b]).unwrap());
        assert!(Contents::default().of([&*a]).is_err());
        assert_eq!(
            contents.at(folder.path()).unwrap(),
            contents.of([&*b, &*c]).unwrap()
        );
    }
}
