//! Where tokens are: in memory, or in a packed file of which a run reads what it needs when it needs it.

use super::DataError;
use super::packed::PackedTokens;
use std::ops::Range;
use std::sync::Arc;

/// A row of tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// All of them in memory.
    Memory(Arc<[u32]>),
    /// A part of a packed file.
    Packed {
        /// The file, which stays open.
        file: Arc<PackedTokens>,
        /// Which of its tokens.
        range: Range<u64>,
    },
}

impl Tokens {
    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Memory(tokens) => tokens.len() as u64,
            Self::Packed { range, .. } => range.end - range.start,
        }
    }

    /// The first `count` of them, and the others.
    pub(super) fn split_packed(file: Arc<PackedTokens>, count: u64) -> (Self, Self) {
        let part = |range| Self::Packed {
            file: file.clone(),
            range,
        };
        (part(0..count), part(count..file.count()))
    }

    /// Reads those from `start` on into `ids`.
    ///
    /// # Errors
    ///
    /// [`DataError::Packed`] if the file is not what it was any more: says where.
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

    /// Checks that every token is below `vocab_size`, by what the file promises where there is one.
    pub(super) fn check(&self, vocab_size: usize) -> Result<(), DataError> {
        // Batches hold ids as `i32`, the integers every backend has.
        let known = vocab_size.min(i32::MAX as usize);
        match self {
            Self::Memory(tokens) => {
                let position = tokens.iter().position(|&token| token as usize >= known);
                position.map_or(Ok(()), |position| {
                    Err(DataError::TokenOutOfRange {
                        token: tokens[position],
                        position,
                        vocab_size,
                    })
                })
            }
            Self::Packed { file, .. } if file.vocab_size() as usize > known => {
                Err(DataError::Vocabulary {
                    path: file.path().to_path_buf(),
                    found: file.vocab_size(),
                    vocab_size,
                })
            }
            Self::Packed { .. } => Ok(()),
        }
    }

    /// What tells these tokens from others: themselves, or the fingerprint of their file and which part of it they are.
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
