//! Token ids in memory or in a packed file, which is read on demand.

use super::DataError;
use super::packed::PackedTokens;
use std::ops::Range;
use std::sync::Arc;

/// Tokens of a packed file that are read at once to check them.
const READ: u64 = 1 << 20;

/// Checks that every id is below `vocab_size`; the position of the first in the text is `start`.
///
/// # Errors
///
/// [`DataError::TokenOutOfRange`].
pub(crate) fn check_ids(ids: &[u32], start: u64, vocab_size: usize) -> Result<(), DataError> {
    let at = ids.iter().position(|&id| id as usize >= vocab_size);
    at.map_or(Ok(()), |at| {
        Err(DataError::TokenOutOfRange {
            token: ids[at],
            position: start as usize + at,
            vocab_size,
        })
    })
}

/// A sequence of token ids of any length. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// Held in memory.
    Memory(Arc<[u32]>),
    /// A range of a packed file.
    Packed {
        /// The open file.
        file: Arc<PackedTokens>,
        /// Positions in the file, in tokens.
        range: Range<u64>,
    },
}

impl Tokens {
    /// Number of tokens.
    pub fn count(&self) -> u64 {
        match self {
            Self::Memory(tokens) => tokens.len() as u64,
            Self::Packed { range, .. } => range.end - range.start,
        }
    }

    /// Splits a packed file into its first `count` tokens and the rest.
    pub(super) fn split_packed(file: Arc<PackedTokens>, count: u64) -> (Self, Self) {
        let part = |range| Self::Packed {
            file: file.clone(),
            range,
        };
        (part(0..count), part(count..file.count()))
    }

    /// Fills `ids` with the tokens from position `start` on.
    ///
    /// # Errors
    ///
    /// [`DataError::Packed`] if the packed file is damaged, has changed since it was opened, or cannot be read.
    pub(super) fn read(&self, start: u64, ids: &mut [u32]) -> Result<(), DataError> {
        match self {
            Self::Memory(tokens) => {
                let start = start as usize;
                ids.copy_from_slice(&tokens[start..start + ids.len()]);
                Ok(())
            }
            Self::Packed { file, range } => Ok(file.read(range.start + start, ids)?),
        }
    }

    /// Checks that every id is below `vocab_size`. The tokens of a packed file are read only if the vocabulary size in its
    /// header is larger, as it is with an added token for padding.
    ///
    /// # Errors
    ///
    /// [`DataError::TokenOutOfRange`]; [`DataError::Packed`] for a packed file that cannot be read.
    pub(crate) fn check(&self, vocab_size: usize) -> Result<(), DataError> {
        // Batches hold ids as `i32`, which every backend supports.
        let known = vocab_size.min(i32::MAX as usize);
        match self {
            Self::Memory(tokens) => check_ids(tokens, 0, known),
            Self::Packed { file, .. } if file.vocab_size() as usize > known => {
                let mut ids = Vec::new();
                let mut start = 0;
                while start < self.count() {
                    ids.resize((self.count() - start).min(READ) as usize, 0);
                    self.read(start, &mut ids)?;
                    check_ids(&ids, start, known)?;
                    start += ids.len() as u64;
                }
                Ok(())
            }
            Self::Packed { .. } => Ok(()),
        }
    }

    /// Feeds a hash with the ids, or with the packed file's fingerprint and the range.
    pub(super) fn fingerprint(&self, mut add: impl FnMut(&[u8])) {
        match self {
            Self::Memory(tokens) => tokens.iter().for_each(|token| add(&token.to_le_bytes())),
            Self::Packed { file, range } => {
                add(&file.fingerprint());
                add(&range.start.to_le_bytes());
                add(&range.end.to_le_bytes());
            }
        }
    }
}
