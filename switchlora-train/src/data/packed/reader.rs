//! Reads ranges of a packed token file, from any thread, and checks everything it reads.

use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::header::{self, CRC, HEADER, Header, MAGIC, SHORTEST};
use super::source::Source;
use super::verified::Verified;
use super::{PackedError, PackedFault};

/// An open packed token file. Memory: 4 bytes per block for the table; no tokens.
#[derive(Debug)]
pub struct PackedTokens {
    source: Source,
    header: Header,
    /// CRC-32 of each block, as stored in the file.
    table: Vec<u8>,
    verified: Verified,
    fingerprint: [u8; 32],
}

impl PackedTokens {
    /// Opens the file and checks its header, length and table.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Missing`] and [`PackedFault::Read`] if the file cannot be read; [`PackedFault::NotPacked`],
    /// [`PackedFault::Version`], [`PackedFault::Header`], [`PackedFault::Length`] and [`PackedFault::Table`] if its
    /// contents are wrong.
    pub fn open(path: &Path) -> Result<Self, PackedError> {
        let source = Source::open(path)?;
        let header_bytes = read_header(&source)?;
        let (header, length) =
            Header::decode(&header_bytes).map_err(|fault| source.failed(fault))?;
        expect_length(&source, length)?;
        // The length matches the header, so every allocation from here on is smaller than the file.
        let table = read_table(&source, &header)?;
        let blocks = table.len() / CRC;
        let verified = Verified::none_of(blocks)
            .map_err(|reason| source.refused(header.table_offset(), reason.into()))?;
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

    /// Number of tokens.
    pub fn count(&self) -> u64 {
        self.header.count
    }

    /// Vocabulary size; every id is below it.
    pub fn vocab_size(&self) -> u32 {
        self.header.vocab_size
    }

    /// SHA-256 of the JSON of the tokenizer that made the ids.
    pub fn tokenizer_sha256(&self) -> [u8; 32] {
        self.header.tokenizer_sha256
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// SHA-256 of the header and the table: identifies the contents without reading the tokens.
    ///
    /// Only as strong as the CRC-32 of each block: it detects accidents, not forgery.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Reads and checks every block, on all cores.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Block`] for a damaged block, [`PackedFault::Read`] if the system refuses.
    pub fn verify(&self) -> Result<(), PackedError> {
        let blocks = (self.table.len() / CRC) as u64;
        (0..blocks)
            .into_par_iter()
            .try_for_each_init(Vec::new, |bytes, block| self.read_and_verify(block, bytes))
    }

    /// Size of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.source.length()
    }

    /// Fills `ids` with the tokens from position `start` on. After an error the contents of `ids` are unspecified.
    ///
    /// A block that is read for the first time is read and checked as a whole.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Beyond`] for a range past the last token; [`PackedFault::Vanished`] (on Unix) and
    /// [`PackedFault::Truncated`] if the file changed since it was opened; [`PackedFault::Block`] and
    /// [`PackedFault::TokenOutOfRange`] if it is damaged; [`PackedFault::Read`] if the system refuses.
    pub fn read(&self, start: u64, ids: &mut [u32]) -> Result<(), PackedError> {
        let end = start.checked_add(ids.len() as u64);
        if end.is_none_or(|end| end > self.count()) {
            let (length, count) = (ids.len(), self.count());
            return Err(self.source.failed(PackedFault::Beyond {
                start,
                length,
                count,
            }));
        }
        self.source.check_unchanged(self.header.offset_of(start))?;

        let mut bytes = Vec::new();
        let mut position = start;
        let mut rest = ids;
        while !rest.is_empty() {
            let block = position / u64::from(self.header.block);
            // At most a block, 2^20 tokens.
            let left = (self.header.tokens_of(block).end - position) as usize;
            let (now, later) = rest.split_at_mut(left.min(rest.len()));
            self.read_within(block, position, now, &mut bytes)?;
            position += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// Fills `ids` with the tokens from `position` on, all of one block. `bytes` is a buffer.
    fn read_within(
        &self,
        block: u64,
        position: u64,
        ids: &mut [u32],
        bytes: &mut Vec<u8>,
    ) -> Result<(), PackedError> {
        let width = self.header.width;
        // The table is in memory, so a block number fits `usize`.
        let skipped = if self.verified.contains(block as usize) {
            let offset = self.header.offset_of(position);
            self.source.read(offset, ids.len() * width.bytes(), bytes)?;
            0
        } else {
            self.read_and_verify(block, bytes)?;
            (position - self.header.tokens_of(block).start) as usize
        };
        width.decode(&bytes[skipped * width.bytes()..], ids);
        let checked = self.header.check_ids(ids, position);
        checked.map_err(|fault| self.source.failed(fault))
    }

    /// Reads a whole block into `bytes`, checks its CRC-32, and marks it as checked.
    fn read_and_verify(&self, block: u64, bytes: &mut Vec<u8>) -> Result<(), PackedError> {
        let tokens = self.header.tokens_of(block);
        let offset = self.header.offset_of(tokens.start);
        let length = self.header.offset_of(tokens.end) - offset;
        self.source.read(offset, length as usize, bytes)?;

        let index = block as usize;
        let expected = u32::from_le_bytes(header::array(&self.table, index * CRC));
        let found = crc32fast::hash(bytes);
        if found != expected {
            return Err(self.source.failed(PackedFault::Block {
                block,
                offset,
                expected,
                found,
            }));
        }
        self.verified.insert(index);
        Ok(())
    }
}

/// Reads the header and checks its magic and length.
fn read_header(source: &Source) -> Result<[u8; HEADER], PackedError> {
    let mut bytes = Vec::new();
    let length = source.length().min(HEADER as u64) as usize;
    source.read(0, length, &mut bytes)?;
    if !bytes.starts_with(&MAGIC) {
        bytes.truncate(MAGIC.len());
        return Err(source.failed(PackedFault::NotPacked { found: bytes }));
    }
    match bytes.try_into() {
        Ok(header) => Ok(header),
        Err(_) => Err(wrong_length(source, SHORTEST)),
    }
}

/// Reads the table and checks its CRC-32.
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
        return Err(source.failed(PackedFault::Table {
            offset,
            expected,
            found,
        }));
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
    let found = source.length();
    source.failed(PackedFault::Length { expected, found })
}
