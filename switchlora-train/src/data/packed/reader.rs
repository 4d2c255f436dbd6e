//! Reads a packed token file, from any place and any thread, and believes none of it unchecked.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::PackedError;
use super::header::{self, CRC, HEADER, Header, MAGIC, SHORTEST};
use super::source::Source;
use super::verified::Verified;

/// An open packed token file. It keeps the table in memory, 4 bytes a block, and not the tokens.
#[derive(Debug)]
pub struct PackedTokens {
    source: Source,
    header: Header,
    /// The crc32 of each block, as in the file.
    table: Vec<u8>,
    verified: Verified,
    fingerprint: [u8; 32],
}

impl PackedTokens {
    /// Opens the file and checks its header, its length and its table.
    ///
    /// # Errors
    ///
    /// [`PackedError::Missing`] and [`PackedError::Read`] if it cannot be read; [`PackedError::NotPacked`],
    /// [`PackedError::Version`], [`PackedError::Header`], [`PackedError::Length`] and [`PackedError::Table`] for what is
    /// wrong with it.
    pub fn open(path: &Path) -> Result<Self, PackedError> {
        let source = Source::open(path)?;
        let header_bytes = read_header(&source)?;
        let (header, length) = Header::decode(&header_bytes, path)?;
        expect_length(&source, length)?;
        // The file is as long as its header says, so what is allocated from here on is smaller than the file.
        let table = read_table(&source, &header)?;
        let blocks = table.len() / CRC;
        let verified = Verified::none_of(blocks).map_err(|reason| PackedError::Read {
            path: path.to_path_buf(),
            offset: header.table_offset(),
            reason: reason.into(),
        })?;
        let fingerprint = Sha256::new()
            .chain_update(header_bytes)
            .chain_update(&table)
            .finalize()
            .into();
        Ok(Self {
            source,
            header,
            table,
            verified,
            fingerprint,
        })
    }

    /// How many tokens there are.
    pub fn count(&self) -> u64 {
        self.header.count
    }

    /// The size of the vocabulary; every id is below it.
    pub fn vocab_size(&self) -> u32 {
        self.header.vocab_size
    }

    /// SHA-256 of the file of the tokenizer that made the ids.
    pub fn tokenizer_sha256(&self) -> [u8; 32] {
        self.header.tokenizer_sha256
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// SHA-256 of the header and the table, which tells one content from another without reading it.
    ///
    /// As strong as the crc32 of each block: good against accidents, not against a forger.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Fills `ids` with the tokens from `start` on. After an error `ids` holds nothing to rely on.
    ///
    /// A block that is touched for the first time is read and checked as a whole.
    ///
    /// # Errors
    ///
    /// [`PackedError::Beyond`] for more tokens than there are; [`PackedError::Vanished`] (on Unix) and
    /// [`PackedError::Truncated`] for a file that is no longer what was opened; [`PackedError::Block`] and
    /// [`PackedError::TokenOutOfRange`] for a damaged one; [`PackedError::Read`] if the system refuses.
    pub fn read(&self, start: u64, ids: &mut [u32]) -> Result<(), PackedError> {
        let end = start.checked_add(ids.len() as u64);
        if end.is_none_or(|end| end > self.count()) {
            return Err(PackedError::Beyond {
                path: self.path().to_path_buf(),
                start,
                length: ids.len(),
                count: self.count(),
            });
        }
        self.source.check_unchanged(self.header.offset_of(start))?;

        let mut bytes = Vec::new();
        let mut position = start;
        let mut rest = ids;
        while !rest.is_empty() {
            let block = position / u64::from(self.header.block);
            // At most 2^20, a block.
            let left = (self.header.tokens_of(block).end - position) as usize;
            let (now, later) = rest.split_at_mut(left.min(rest.len()));
            self.read_within(block, position, now, &mut bytes)?;
            position += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// Fills `ids` with tokens from `position` on, all in one block, by way of `bytes`.
    fn read_within(
        &self,
        block: u64,
        position: u64,
        ids: &mut [u32],
        bytes: &mut Vec<u8>,
    ) -> Result<(), PackedError> {
        let width = self.header.width;
        // The table is in memory, so the number of a block is a `usize`.
        let skipped = if self.verified.contains(block as usize) {
            let offset = self.header.offset_of(position);
            self.source.read(offset, ids.len() * width.bytes(), bytes)?;
            0
        } else {
            self.read_and_verify(block, bytes)?;
            (position - self.header.tokens_of(block).start) as usize
        };
        width.decode(&bytes[skipped * width.bytes()..], ids);
        self.header.check_ids(ids, position, self.path())
    }

    /// Makes `bytes` those of the whole block, and remembers that they were right.
    fn read_and_verify(&self, block: u64, bytes: &mut Vec<u8>) -> Result<(), PackedError> {
        let tokens = self.header.tokens_of(block);
        let offset = self.header.offset_of(tokens.start);
        let length = self.header.offset_of(tokens.end) - offset;
        self.source.read(offset, length as usize, bytes)?;

        let index = block as usize;
        let expected = u32::from_le_bytes(header::array(&self.table, index * CRC));
        let found = crc32fast::hash(bytes);
        if found != expected {
            return Err(PackedError::Block {
                path: self.path().to_path_buf(),
                block,
                offset,
                expected,
                found,
            });
        }
        self.verified.insert(index);
        Ok(())
    }
}

/// The first bytes of a file, if they are those of a packed one.
fn read_header(source: &Source) -> Result<[u8; HEADER], PackedError> {
    let mut bytes = Vec::new();
    let length = source.length().min(HEADER as u64) as usize;
    source.read(0, length, &mut bytes)?;
    if !bytes.starts_with(&MAGIC) {
        bytes.truncate(MAGIC.len());
        return Err(PackedError::NotPacked {
            path: source.path().to_path_buf(),
            found: bytes,
        });
    }
    match bytes.try_into() {
        Ok(header) => Ok(header),
        Err(_) => Err(wrong_length(source, SHORTEST)),
    }
}

/// The table, if it is as it was written.
fn read_table(source: &Source, header: &Header) -> Result<Vec<u8>, PackedError> {
    let mut table = Vec::new();
    let offset = header.table_offset();
    let length = usize::try_from(source.length() - offset).unwrap_or(usize::MAX);
    source.read(offset, length, &mut table)?;
    let end = table.len() - CRC;
    let expected = u32::from_le_bytes(header::array(&table, end));
    table.truncate(end);
    let found = crc32fast::hash(&table);
    if found != expected {
        return Err(PackedError::Table {
            path: source.path().to_path_buf(),
            offset,
            expected,
            found,
        });
    }
    Ok(table)
}

fn expect_length(source: &Source, expected: u64) -> Result<(), PackedError> {
    if source.length() == expected {
        Ok(())
    } else {
        Err(wrong_length(source, expected))
    }
}

fn wrong_length(source: &Source, expected: u64) -> PackedError {
    PackedError::Length {
        path: source.path().to_path_buf(),
        expected,
        found: source.length(),
    }
}
