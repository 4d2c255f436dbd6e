//! The set of checked blocks, one bit per block, shared by threads.

use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of blocks that only grows.
///
/// Relaxed ordering is enough: a bit is about the file, not about memory that another thread wrote. At worst two
/// threads check the same block.
#[derive(Debug)]
pub(super) struct Verified {
    words: Vec<AtomicU64>,
}

impl Verified {
    /// The empty set, with room for `blocks` blocks.
    ///
    /// # Errors
    ///
    /// There is not enough memory.
    pub(super) fn none_of(blocks: usize) -> Result<Self, TryReserveError> {
        let length = blocks.div_ceil(64);
        let mut words = Vec::new();
        words.try_reserve_exact(length)?;
        words.resize_with(length, AtomicU64::default);
        Ok(Self { words })
    }

    /// Whether the block is in the set.
    pub(super) fn contains(&self, block: usize) -> bool {
        self.words[block / 64].load(Ordering::Relaxed) >> (block % 64) & 1 == 1
    }

    /// Adds the block.
    pub(super) fn insert(&self, block: usize) {
        self.words[block / 64].fetch_or(1 << (block % 64), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_in_the_set_once_it_is_put_there_and_no_other_is() {
        let verified = Verified::none_of(130).unwrap();
        for block in [0, 63, 64, 129] {
            assert!(!verified.contains(block));
            verified.insert(block);
        }
        let contained: Vec<_> = (0..130).filter(|&block| verified.contains(block)).collect();
        assert_eq!(contained, [0, 63, 64, 129]);
    }
}
