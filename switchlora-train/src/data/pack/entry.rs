//! One entry of the cache: whether it is whole, and how it gets its name while other processes make and read it.

use super::super::packed::PackedTokens;
use super::super::{DataError, Tokenizer};
use crate::durable::hidden;
use crate::say::warn;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Up to this size every block of an entry is checked before a run begins, which takes less than a second. Blocks of larger
/// ones are checked when they are first read, as in any packed file.
const CHECKED: u64 = 1 << 30;
/// Files of unfinished work that are older belong to processes that have ended.
const OLD: Duration = Duration::from_secs(48 * 3600);

/// What is at the path of an entry.
pub(super) enum Entry {
    /// A whole one.
    Whole,
    /// Nothing.
    Absent,
    /// A damaged one; why.
    Damaged(String),
}

/// Looks at the entry at `path`.
pub(super) fn look(path: &Path, tokenizer: &Tokenizer) -> Entry {
    if !path.exists() {
        return Entry::Absent;
    }
    let checked = PackedTokens::open(path).and_then(|file| {
        if file.bytes() <= CHECKED {
            file.verify()?;
        }
        Ok(file.tokenizer_sha256() == tokenizer.sha256_bytes())
    });
    match checked {
        Ok(true) => Entry::Whole,
        Ok(false) => Entry::Damaged("packed with another tokenizer".to_owned()),
        Err(error) => Entry::Damaged(error.fault.to_string()),
    }
}

/// Removes a damaged entry, with a warning. Only the process that makes it anew may do so.
///
/// # Errors
///
/// It cannot be removed.
pub(super) fn remove_damaged(path: &Path, fault: &str) -> Result<(), DataError> {
    let shown = path.display();
    warn(format!(
        "{shown}: {fault} (it is in the cache: the text is packed again)"
    ));
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(reason) if reason.kind() != ErrorKind::NotFound => {
            Err(DataError::unwritable(path, reason))
        }
        _ => Ok(()),
    }
}

/// The name beside `path` under which the process works that holds the lock. Another continues its work if it is killed.
pub(super) fn shared(path: &Path) -> PathBuf {
    path.with_extension("work.tokens")
}

/// A name beside `path` that only this process uses.
pub(super) fn own(path: &Path) -> PathBuf {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    path.with_extension(format!("{}-{nanoseconds:x}.tokens", std::process::id()))
}

/// Gives the finished file `own` the name `path`, unless an entry has it already: another process may be reading that one.
///
/// # Errors
///
/// The system's error.
pub(super) fn publish(own: &Path, path: &Path) -> io::Result<()> {
    let linked = match fs::hard_link(own, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // A file system without hard links.
        Err(_) if !path.exists() => return fs::rename(own, path),
        other => other,
    };
    let _ = fs::remove_file(own);
    linked
}

/// Removes what is left of unfinished work of this process under `own`.
pub(super) fn discard(own: &Path) {
    for suffix in ["writing", "progress", "lock"] {
        let _ = hidden(own, suffix).and_then(fs::remove_file);
    }
    let _ = fs::remove_file(own);
}

/// Removes files of unfinished work on the entry `path` that processes with own names left behind long ago.
pub(super) fn sweep(path: &Path) {
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem()) else {
        return;
    };
    let stem = stem.to_string_lossy();
    let left = |name: &str| {
        let name = name.strip_prefix('.').unwrap_or(name);
        let rest = name
            .strip_prefix(&*stem)
            .and_then(|rest| rest.strip_prefix('.'));
        // `tokens.…` are those of earlier programs, which worked under the name of the entry.
        let work = |rest: &str| {
            rest.starts_with(|first: char| first.is_ascii_digit())
                || ["tokens.writing", "tokens.progress"].contains(&rest)
        };
        rest.is_some_and(work)
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|changed| changed.elapsed().ok());
        if left(&entry.file_name().to_string_lossy()) && age.is_some_and(|age| age > OLD) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_file_takes_its_name_only_if_it_is_free_and_old_leftovers_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc.tokens");
        let (first, second) = (own(&path), own(&path));
        assert_ne!(first, second);
        fs::write(&first, "first").unwrap();
        fs::write(&second, "second").unwrap();
        publish(&first, &path).unwrap();
        publish(&second, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert!(!first.exists() && !second.exists());

        let left = hidden(&own(&path), "writing").unwrap();
        let other = folder.path().join("abcd.tokens");
        fs::write(&other, "").unwrap();
        for age in [Duration::ZERO, OLD * 2] {
            let file = fs::File::create(&left).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            drop(file);
            sweep(&path);
            assert_eq!(left.exists(), age == Duration::ZERO);
        }
        assert!(path.exists() && other.exists());
    }
}
