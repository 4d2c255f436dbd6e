//! The 80-byte header of a packed token file, and the file's layout.

use std::ops::Range;

use super::PackedFault;
use super::width::Width;

/// Length of the header, in bytes.
pub(super) const HEADER: usize = 80;
/// Length of a CRC-32, in bytes.
pub(super) const CRC: usize = 4;
/// Least length of a file, in bytes: a header, no tokens, and the CRC-32 of an empty table.
pub(super) const SHORTEST: u64 = (HEADER + CRC) as u64;
/// First bytes of every packed token file.
pub(super) const MAGIC: [u8; 8] = *b"SLTOKENS";
/// Format version.
const VERSION: u32 = 1;
/// Most tokens in a block. A block is at most 4 MiB, so no header can make the first read of a block expensive.
const LARGEST_BLOCK: u32 = 1 << 20;

/// The fields of a header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    /// Bytes per token.
    pub(super) width: Width,
    /// Number of tokens.
    pub(super) count: u64,
    /// Vocabulary size; every id is below it.
    pub(super) vocab_size: u32,
    /// Tokens per block; the last block may have fewer.
    pub(super) block: u32,
    /// SHA-256 of the tokenizer's JSON.
    pub(super) tokenizer_sha256: [u8; 32],
}

impl Header {
    /// Encodes the header, with its CRC-32.
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.width.bytes() as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.count.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.vocab_size.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.block.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.tokenizer_sha256);
        let crc = crc32fast::hash(&bytes[..76]);
        bytes[76..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Decodes the header of a file. Returns it with the length that the file must have. The caller has checked the
    /// magic.
    ///
    /// # Errors
    ///
    /// [`PackedFault::Version`], or [`PackedFault::Header`] for a wrong CRC-32 or a field that no writer produces.
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Result<(Self, u64), PackedFault> {
        let u32_at = |offset| u32::from_le_bytes(array(bytes, offset));
        let version = u32_at(8);
        if version != VERSION {
            return Err(PackedFault::Version {
                found: version,
                expected: VERSION,
            });
        }
        let impossible = |field, offset, found: u64, expected: &str| PackedFault::Header {
            field,
            offset,
            found,
            expected: expected.to_owned(),
        };
        let crc = crc32fast::hash(&bytes[..76]);
        if u32_at(76) != crc {
            let expected = format!("{crc}, as the bytes before it are");
            return Err(impossible("crc32", 76, u32_at(76).into(), &expected));
        }
        let vocab_size = u32_at(24);
        let width = match u32_at(12) {
            2 if vocab_size > 1 << 16 => {
                return Err(impossible("width", 12, 2, "4 for such a vocabulary"));
            }
            2 => Width::Two,
            4 => Width::Four,
            other => return Err(impossible("width", 12, other.into(), "2 or 4")),
        };
        if vocab_size == 0 {
            return Err(impossible("vocab_size", 24, 0, "at least 1"));
        }
        let block = u32_at(28);
        if !(1..=LARGEST_BLOCK).contains(&block) {
            return Err(impossible("block", 28, block.into(), "1 to 1048576"));
        }
        if let Some(&byte) = bytes[64..76].iter().find(|&&byte| byte != 0) {
            return Err(impossible("reserved space", 64, byte.into(), "0"));
        }
        let header = Self {
            width,
            count: u64::from_le_bytes(array(bytes, 16)),
            vocab_size,
            block,
            tokenizer_sha256: array(bytes, 32),
        };
        match header.file_length() {
            Some(length) => Ok((header, length)),
            None => Err(impossible("count", 16, header.count, "fewer")),
        }
    }

    /// Length of the file in bytes. `None` if it exceeds 64 bits.
    fn file_length(&self) -> Option<u64> {
        let tokens = self.count.checked_mul(self.width.bytes() as u64)?;
        let table = self.blocks().checked_mul(CRC as u64)?;
        SHORTEST.checked_add(tokens)?.checked_add(table)
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.count.div_ceil(self.block.into())
    }

    /// Positions of the tokens in a block.
    pub(super) fn tokens_of(&self, block: u64) -> Range<u64> {
        let start = block * u64::from(self.block);
        start..self.count.min(start + u64::from(self.block))
    }

    /// Offset of the token at this position. The position after the last token gives the offset of the table.
    pub(super) fn offset_of(&self, position: u64) -> u64 {
        HEADER as u64 + position * self.width.bytes() as u64
    }

    /// Offset of the table.
    pub(super) fn table_offset(&self) -> u64 {
        self.offset_of(self.count)
    }

    /// Checks that all ids are below the vocabulary size. The position of `ids[0]`, for the message, is `position`.
    ///
    /// # Errors
    ///
    /// [`PackedFault::TokenOutOfRange`].
    pub(super) fn check_ids(&self, ids: &[u32], position: u64) -> Result<(), PackedFault> {
        match ids.iter().position(|&id| id >= self.vocab_size) {
            None => Ok(()),
            Some(index) => Err(PackedFault::TokenOutOfRange {
                token: ids[index],
                position: position + index as u64,
                offset: self.offset_of(position + index as u64),
                vocab_size: self.vocab_size,
            }),
        }
    }
}

/// The `N` bytes at `offset`.
///
/// # Panics
///
/// If `bytes` ends before `offset + N`.
pub(super) fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[offset + index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOUND: Header = Header {
        width: Width::Two,
        count: 7,
        vocab_size: 1 << 16,
        block: 4,
        tokenizer_sha256: [9; 32],
    };

    fn decode(bytes: &[u8; HEADER]) -> Result<Header, PackedFault> {
        Header::decode(bytes).map(|(header, _)| header)
    }

    /// A sound header with some bytes overwritten and the CRC-32 corrected.
    fn forged(offset: usize, bytes: &[u8]) -> [u8; HEADER] {
        let mut header = SOUND.encode();
        header[offset..offset + bytes.len()].copy_from_slice(bytes);
        let crc = crc32fast::hash(&header[..76]);
        header[76..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            count in 0..1_u64 << 60,
            vocab_size in 1..u32::MAX,
            block in 1..=LARGEST_BLOCK,
            tokenizer_sha256: [u8; 32],
        ) {
            let width = Width::of(vocab_size);
            let header = Header { width, count, vocab_size, block, tokenizer_sha256 };
            // No file length overflows: with blocks of one token, tokens and table take at most 8 bytes per token.
            prop_assert_eq!(decode(&header.encode()).unwrap(), header);
        }
    }

    #[test]
    fn the_layout_is_the_one_that_is_documented() {
        let bytes = SOUND.encode();
        assert_eq!(&bytes[..16], b"SLTOKENS\x01\0\0\0\x02\0\0\0");
        assert_eq!(
            &bytes[16..32],
            b"\x07\0\0\0\0\0\0\0\x00\x00\x01\x00\x04\0\0\0"
        );
        assert_eq!((SOUND.blocks(), SOUND.tokens_of(1)), (2, 4..7));
        assert_eq!(SOUND.table_offset(), 80 + 14);
        assert_eq!(SOUND.file_length(), Some(80 + 14 + 8 + 4));
    }

    #[test]
    fn another_version_is_refused_whatever_else_it_says() {
        let mut bytes = SOUND.encode();
        bytes[8] = 2;
        let error = decode(&bytes).unwrap_err();
        assert!(matches!(error, PackedFault::Version { found: 2, .. }));
    }

    #[test]
    fn a_field_that_cannot_be_is_named_though_the_crc_is_right() {
        let largest = u64::MAX.to_le_bytes();
        // Times two bytes, this wraps to 0.
        let half = (1_u64 << 63).to_le_bytes();
        let forgeries: [(&str, usize, &[u8]); 8] = [
            ("width", 12, &[3]),
            ("width", 24, &[1, 0, 1]),
            ("vocab_size", 24, &[0; 4]),
            ("block", 28, &[0; 4]),
            ("block", 28, &[1, 0, 16]),
            ("reserved space", 75, &[1]),
            ("count", 16, &largest),
            ("count", 16, &half),
        ];
        for (name, offset, bytes) in forgeries {
            match decode(&forged(offset, bytes)).unwrap_err() {
                PackedFault::Header { field, .. } => assert_eq!(field, name),
                other => panic!("{name}: {other}"),
            }
        }
    }

    #[test]
    fn a_damaged_header_is_refused() {
        let mut bytes = SOUND.encode();
        bytes[40] ^= 1;
        let error = decode(&bytes).unwrap_err();
        assert!(matches!(error, PackedFault::Header { field: "crc32", .. }));
    }
}
