//! A tar archive, compressed with zstd. The same files give the same bytes.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Bytes of a mebibyte.
pub const MIB: u64 = 1 << 20;

/// The largest archive, in bytes: it must pass through what carries small files to a cluster.
pub const LARGEST: u64 = 40 * MIB;

/// The one folder that the archive unpacks to.
const FOLDER: &str = "switchlora-bundle";

/// Level 19 is the highest that needs no option to unpack.
const LEVEL: i32 = 19;

/// Matches reach back this many bits: the programs have most of their code in common. 27 is the most that `zstd -d` and
/// `tar` unpack without an option.
const WINDOW: u32 = 27;

/// When every file was last changed: 2000-01-01. `tar` warns of a time as old as 0.
const TIME: u64 = 946_684_800;

/// A file of the archive.
pub struct Entry {
    path: String,
    mode: u32,
    bytes: Vec<u8>,
    /// The file in the same folder that it is a link to.
    link: Option<&'static str>,
}

impl Entry {
    /// A text.
    pub fn text(path: &str, text: &str) -> Self {
        Self::file(path, text.as_bytes().to_vec())
    }

    /// A file that cannot be started.
    pub fn file(path: &str, bytes: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            mode: 0o644,
            bytes,
            link: None,
        }
    }

    /// A link to the file `to` in the same folder.
    pub fn link(path: &str, to: &'static str) -> Self {
        Self {
            link: Some(to),
            ..Self::program(path, Vec::new())
        }
    }

    /// A text that can be started.
    pub fn script(path: &str, text: &str) -> Self {
        Self::program(path, text.as_bytes().to_vec())
    }

    /// A program.
    pub fn program(path: &str, bytes: Vec<u8>) -> Self {
        Self {
            mode: 0o755,
            ..Self::file(path, bytes)
        }
    }
}

/// Writes the archive and returns its size in bytes. Leaves no file if that is more than [`LARGEST`].
///
/// # Errors
///
/// The file cannot be written.
pub fn write(file: &Path, entries: &[Entry]) -> Result<u64> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let written = File::create(partial).and_then(|mut file| {
        pack(&mut file, entries)?;
        Ok(file.metadata()?.len())
    });
    let kept = written.and_then(|size| {
        match size > LARGEST {
            true => fs::remove_file(partial)?,
            false => fs::rename(partial, file)?,
        }
        Ok(size)
    });
    if kept.is_err() {
        let _ = fs::remove_file(partial);
    }
    kept.with_context(|| format!("cannot write {}", file.display()))
}

fn pack(to: impl Write, entries: &[Entry]) -> io::Result<()> {
    let mut compressed = zstd::Encoder::new(to, LEVEL)?;
    compressed.long_distance_matching(true)?;
    compressed.window_log(WINDOW)?;
    compressed.include_checksum(true)?;
    let mut archive = Builder::new(compressed.auto_finish());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(TIME);
        header.set_size(entry.bytes.len() as u64);
        let path = format!("{FOLDER}/{}", entry.path);
        match entry.link {
            None => archive.append_data(&mut header, path, entry.bytes.as_slice())?,
            Some(to) => {
                header.set_entry_type(EntryType::Symlink);
                archive.append_link(&mut header, path, to)?;
            }
        }
    }
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn entries() -> [Entry; 3] {
        [
            Entry::link("bin/b", "a"),
            Entry::text("README.md", "what it is\n"),
            Entry::program("bin/a", vec![7; 100_000]),
        ]
    }

    #[test]
    fn the_archive_unpacks_to_the_same_files_in_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.zst");
        let size = write(&file, &entries()).unwrap();
        assert_eq!(size, file.metadata().unwrap().len());
        let unpacked = zstd::Decoder::new(File::open(file).unwrap()).unwrap();
        let mut archive = tar::Archive::new(unpacked);
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (TIME, 0));
            let path = entry.path().unwrap().display().to_string();
            let link = header.link_name().unwrap();
            let link = link.map(|link| link.display().to_string());
            found.push((path, header.mode().unwrap(), bytes, link));
        }
        let readme = b"what it is\n".to_vec();
        let expected = [
            ("bin/b", 0o755, Vec::new(), Some("a".to_owned())),
            ("README.md", 0o644, readme, None),
            ("bin/a", 0o755, vec![7; 100_000], None),
        ];
        let expected = expected.map(|(path, mode, bytes, link)| {
            (format!("switchlora-bundle/{path}"), mode, bytes, link)
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let [mut first, mut second] = [Vec::new(), Vec::new()];
        pack(&mut first, &entries()).unwrap();
        pack(&mut second, &entries()).unwrap();
        assert!(first == second && !first.is_empty());
    }

    #[test]
    fn an_archive_that_cannot_be_written_leaves_nothing_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.zst");
        fs::create_dir(&file).unwrap();
        fs::write(file.join("full"), "").unwrap();
        let error = write(&file, &entries()).unwrap_err().to_string();
        assert!(error.contains("a.tar.zst"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
