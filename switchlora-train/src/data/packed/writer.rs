//! Writes a packed token file under a temporary name, and renames it when it is complete.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::half_written::HalfWritten;
use super::header::{HEADER, Header};
use super::positional::read_exact_at;
use super::width::Width;
use super::{PackedError, PackedFault};
use crate::durable::{sync, sync_data};
use crate::hexadecimal;
use serde::{Deserialize, Serialize};

/// Tokens per block. The first read of a block reads and checks all of it: 32 KiB at two bytes per token. The table of
/// a file of 10^10 tokens takes 2.4 MB.
const BLOCK: u32 = 16384;

/// State of a half-written file, from which another process can continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterState {
    /// Tokens appended.
    count: u64,
    /// CRC-32 of the table of the full blocks.
    table_crc: u32,
    /// Bytes of the last, partial block, in hexadecimal.
    rest: String,
}

/// Packs tokens into a file. Memory: one block, and 4 bytes per block written.
///
/// The tokens go to `.NAME.writing` in the same folder. [`finish`](Self::finish) renames it to NAME and replaces an
/// older file. A writer that is dropped earlier removes its file. Only one writer may use a path at a time.
#[derive(Debug)]
pub struct PackedWriter {
    // Declared before `half_written`, so that the file is closed before it is removed.
    file: File,
    half_written: HalfWritten,
    path: PathBuf,
    /// Describes all tokens appended, including those of the partial block.
    header: Header,
    /// Bytes of the partial block.
    block: Vec<u8>,
    /// CRC-32 of each full block.
    table: Vec<u8>,
    /// Whether a write failed, so that tokens are missing from the file.
    incomplete: bool,
}

impl PackedWriter {
    /// Begins a file at `path` for ids below `vocab_size`. `tokenizer_sha256` is the SHA-256 of the tokenizer's JSON.
    ///
    /// # Errors
    ///
    /// [`PackedFault::NoVocabulary`] for a vocabulary size of 0, [`PackedFault::Write`] if no file can be created.
    pub fn create(
        path: &Path,
        vocab_size: u32,
        tokenizer_sha256: [u8; 32],
    ) -> Result<Self, PackedError> {
        Self::with_block(path, vocab_size, tokenizer_sha256, BLOCK)
    }

    /// [`create`](Self::create) with `block` tokens per block.
    pub(super) fn with_block(
        path: &Path,
        vocab_size: u32,
        tokenizer_sha256: [u8; 32],
        block: u32,
    ) -> Result<Self, PackedError> {
        let path = path.to_path_buf();
        if vocab_size == 0 {
            return Err(PackedError::new(path, PackedFault::NoVocabulary));
        }
        let (half_written, file) =
            HalfWritten::create(&path).map_err(|reason| refused(&path, 0, reason))?;
        let width = Width::of(vocab_size);
        Ok(Self {
            file,
            half_written,
            path,
            header: Header {
                width,
                count: 0,
                vocab_size,
                block,
                tokenizer_sha256,
            },
            block: Vec::with_capacity(block as usize * width.bytes()),
            table: Vec::new(),
            incomplete: false,
        })
    }

    /// Flushes the full blocks to the disk. Returns the state from which another process can [resume](Self::resume),
    /// and keeps the half-written file for it even if this writer is dropped.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Write`] if this or an earlier write failed.
    pub fn checkpoint(&mut self) -> Result<WriterState, PackedError> {
        let offset = self.header.table_offset();
        self.check_complete()?;
        sync_data(&self.file).map_err(|reason| refused(&self.path, offset, reason))?;
        self.half_written.keep();
        Ok(WriterState {
            count: self.header.count,
            table_crc: crc32fast::hash(&self.table),
            rest: hexadecimal(&self.block),
        })
    }

    /// Continues a file that an earlier process wrote up to `state`. `None` if the half-written file is missing or does
    /// not match `state`.
    ///
    /// Every full block is read and checked.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Write`] if the half-written file cannot be read or truncated.
    pub fn resume(
        path: &Path,
        vocab_size: u32,
        tokenizer_sha256: [u8; 32],
        state: &WriterState,
    ) -> Result<Option<Self>, PackedError> {
        let path = path.to_path_buf();
        let Ok((half_written, file)) = HalfWritten::open(&path) else {
            return Ok(None);
        };
        let width = Width::of(vocab_size);
        let mut header = Header {
            width,
            count: 0,
            vocab_size,
            block: BLOCK,
            tokenizer_sha256,
        };
        let whole = state.count / u64::from(BLOCK);
        header.count = whole * u64::from(BLOCK);
        let left = state.count - header.count;
        let block = from_hexadecimal(&state.rest);
        let Some(block) = block.filter(|b| b.len() as u64 == left * width.bytes() as u64) else {
            return Ok(None);
        };
        let refused = |reason| refused(&path, 0, reason);
        let length = file.metadata().map_err(refused)?.len();
        if whole > 0 && header.table_offset() > length {
            return Ok(None);
        }
        let table = read_table(&file, whole, BLOCK as usize * width.bytes()).map_err(refused)?;
        if crc32fast::hash(&table) != state.table_crc {
            return Ok(None);
        }
        // Tokens written after the checkpoint are appended again.
        let end = header.table_offset().min(length);
        file.set_len(end).map_err(refused)?;
        header.count = state.count;
        Ok(Some(Self {
            file,
            half_written,
            path,
            header,
            block,
            table,
            incomplete: false,
        }))
    }

    /// Appends tokens: all of them, or none if an id is out of range. After a failed write the file cannot be finished.
    ///
    /// # Errors
    ///
    /// [`PackedFault::TokenOutOfRange`] for an id that is not below the vocabulary size, [`PackedFault::Write`] if the
    /// system refuses to write.
    pub fn append(&mut self, ids: &[u32]) -> Result<(), PackedError> {
        let checked = self.header.check_ids(ids, self.header.count);
        checked.map_err(|fault| PackedError::new(&self.path, fault))?;
        let mut rest = ids;
        while !rest.is_empty() {
            let filled = self.block.len() / self.header.width.bytes();
            let room = self.header.block as usize - filled;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.header.width.encode(now, &mut self.block);
            self.header.count += now.len() as u64;
            if now.len() == room {
                self.write_block()?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Writes the partial block, the table and the header, flushes the file, and renames it. Returns the number of
    /// tokens.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Write`] if the system refuses. Then there is no new file, except that a complete file is there if
    /// only flushing the folder failed.
    pub fn finish(self) -> Result<u64, PackedError> {
        self.complete()?.publish()
    }

    /// As [`finish`](Self::finish), up to the renaming.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Write`] if the system refuses.
    pub(in crate::data) fn complete(mut self) -> Result<CompleteFile, PackedError> {
        self.check_complete()?;
        if !self.block.is_empty() {
            self.write_block()?;
        }
        let mut table = std::mem::take(&mut self.table);
        let crc = crc32fast::hash(&table);
        table.extend(crc.to_le_bytes());

        let Self {
            mut file,
            half_written,
            path,
            header,
            ..
        } = self;
        write(&mut file, &path, header.table_offset(), &table)?;
        // Last, so that the file of a killed process has a header of zeros.
        write(&mut file, &path, 0, &header.encode())?;
        sync(&file).map_err(|reason| refused(&path, 0, reason))?;
        let count = header.count;
        Ok(CompleteFile {
            half_written,
            path,
            count,
        })
    }

    fn check_complete(&self) -> Result<(), PackedError> {
        if self.incomplete {
            let reason = io::Error::other("an earlier write failed");
            return Err(refused(&self.path, self.header.table_offset(), reason));
        }
        Ok(())
    }

    /// Writes the block of the tokens appended last, and begins a new one.
    fn write_block(&mut self) -> Result<(), PackedError> {
        let offset = self.header.table_offset() - self.block.len() as u64;
        let written = write(&mut self.file, &self.path, offset, &self.block);
        self.incomplete |= written.is_err();
        let crc = crc32fast::hash(&self.block);
        self.table.extend(crc.to_le_bytes());
        self.block.clear();
        written
    }
}

/// A whole packed file on the disk, which has its temporary name still.
#[derive(Debug)]
pub(in crate::data) struct CompleteFile {
    half_written: HalfWritten,
    path: PathBuf,
    count: u64,
}

impl CompleteFile {
    /// Gives the file its name. Returns the number of tokens.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Write`] if the system refuses.
    pub fn publish(self) -> Result<u64, PackedError> {
        let (path, published) = (&self.path, self.half_written.publish(&self.path));
        published.map_err(|reason| refused(path, 0, reason))?;
        Ok(self.count)
    }
}

/// Computes the CRC-32 of each of the first `blocks` blocks of a file, of `bytes` bytes each.
fn read_table(file: &File, blocks: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut block = vec![0; bytes];
    let mut table = Vec::new();
    for number in 0..blocks {
        read_exact_at(file, &mut block, HEADER as u64 + number * bytes as u64)?;
        table.extend(crc32fast::hash(&block).to_le_bytes());
    }
    Ok(table)
}

/// Inverse of [`hexadecimal()`]. `None` if `text` is not hexadecimal.
fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8));
    rest.is_empty().then(|| bytes.collect())?
}

fn write(file: &mut File, path: &Path, offset: u64, bytes: &[u8]) -> Result<(), PackedError> {
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.write_all(bytes))
        .map_err(|reason| refused(path, offset, reason))
}

fn refused(path: &Path, offset: u64, reason: io::Error) -> PackedError {
    PackedError::new(path, PackedFault::Write { offset, reason })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_half_written_file_is_not_there_and_a_finished_one_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        fs::write(&path, "the one before").unwrap();

        let mut writer = PackedWriter::with_block(&path, 9, [0; 32], 2).unwrap();
        writer.append(&[1, 2, 3]).unwrap();
        assert_eq!(names_in(folder.path()), [".a.tokens.writing", "a.tokens"]);
        assert_eq!(fs::read(&path).unwrap(), b"the one before");

        assert_eq!(writer.finish().unwrap(), 3);
        assert_eq!(names_in(folder.path()), ["a.tokens"]);
        assert_eq!(fs::read(&path).unwrap().len(), 80 + 6 + 8 + 4);
    }

    #[test]
    fn a_dropped_writer_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer =
            PackedWriter::with_block(&folder.path().join("a.tokens"), 9, [0; 32], 2).unwrap();
        writer.append(&[1, 2, 3]).unwrap();
        drop(writer);
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn a_file_that_a_killed_writer_left_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        fs::write(folder.path().join(".a.tokens.writing"), [7; 999]).unwrap();
        let writer = PackedWriter::create(&path, 9, [0; 32]).unwrap();
        assert_eq!(writer.finish().unwrap(), 0);
        assert_eq!(fs::read(&path).unwrap().len(), 84);
    }

    #[test]
    fn a_file_that_is_whole_but_has_no_name_yet_is_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        let ids: Vec<u32> = (0..BLOCK + 9).map(|i| i % 9).collect();
        let mut writer = PackedWriter::create(&path, 9, [0; 32]).unwrap();
        writer.append(&ids[..7]).unwrap();
        let state = writer.checkpoint().unwrap();
        writer.append(&ids[7..]).unwrap();
        drop(writer.complete().unwrap());
        assert_eq!(names_in(folder.path()), [".a.tokens.writing"]);

        let resumed = PackedWriter::resume(&path, 9, [0; 32], &state).unwrap();
        let mut writer = resumed.unwrap();
        writer.append(&ids[7..]).unwrap();
        assert_eq!(writer.finish().unwrap(), ids.len() as u64);
        let other = folder.path().join("b.tokens");
        let mut writer = PackedWriter::create(&other, 9, [0; 32]).unwrap();
        writer.append(&ids).unwrap();
        writer.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(&other).unwrap());
    }

    #[test]
    fn an_id_out_of_the_vocabulary_is_named_and_nothing_of_its_call_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = PackedWriter::create(&folder.path().join("a.tokens"), 9, [0; 32]).unwrap();
        writer.append(&[1, 8]).unwrap();
        let error = writer.append(&[2, 9, 10]).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("token 3 (byte 86) is 9"), "{message}");
        writer.append(&[3]).unwrap();
        assert_eq!(writer.finish().unwrap(), 3);
    }

    #[test]
    fn after_a_write_that_failed_the_file_cannot_be_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tokens");
        let mut writer = PackedWriter::with_block(&path, 9, [0; 32], 2).unwrap();
        let beside = folder.path().join(".a.tokens.writing");
        let writable = std::mem::replace(&mut writer.file, File::open(beside).unwrap());
        let error = writer.append(&[1, 2, 3]).unwrap_err();
        assert!(matches!(error.fault, PackedFault::Write { offset: 80, .. }));

        writer.file = writable;
        let error = writer.finish().unwrap_err();
        assert!(matches!(error.fault, PackedFault::Write { .. }));
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn what_cannot_become_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let create = |name, vocab_size| {
            PackedWriter::create(&folder.path().join(name), vocab_size, [0; 32]).unwrap_err()
        };
        assert!(matches!(
            create("a.tokens", 0).fault,
            PackedFault::NoVocabulary
        ));
        for name in ["no/such/folder/a.tokens", ".."] {
            assert!(matches!(create(name, 9).fault, PackedFault::Write { .. }));
        }
        assert!(names_in(folder.path()).is_empty());
    }
}
