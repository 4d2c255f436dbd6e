//! Cuts token ids into sequences of one length.
//!
//! For a sequence length of `s`, window `i` is tokens `i s ..= (i + 1) s`: `s + 1` tokens, the first `s` of which are
//! the inputs and the last `s` the targets. So every token but the first is a target exactly once, up to the last whole
//! window.

use std::sync::Arc;

use super::{DataError, Tokens};
use crate::hexadecimal;
use sha2::{Digest, Sha256};

/// Token ids as sequences of one length, checked against a vocabulary size. Cheap to clone.
///
/// The ids come in rows, one per file or text. No sequence crosses from one row into the next.
#[derive(Clone, Debug)]
pub struct Windows {
    rows: Arc<[Row]>,
    count: u64,
    sequence_length: usize,
}

#[derive(Debug)]
struct Row {
    tokens: Tokens,
    /// Number of windows in all earlier rows.
    before: u64,
}

impl Windows {
    /// Cuts one row of ids into sequences for a model of `vocab_size` tokens.
    ///
    /// # Errors
    ///
    /// The errors of [`Windows::over`].
    pub fn new(
        tokens: impl Into<Arc<[u32]>>,
        sequence_length: usize,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        Self::over(
            vec![Tokens::Memory(tokens.into())],
            sequence_length,
            vocab_size,
        )
    }

    /// Cuts several rows of ids into sequences for a model of `vocab_size` tokens.
    ///
    /// # Errors
    ///
    /// [`DataError::ZeroSize`] for a sequence length of 0, [`DataError::TooShort`] if no row has a whole window,
    /// [`DataError::TokenOutOfRange`] for an id that is not below `vocab_size`.
    pub fn over(
        rows: Vec<Tokens>,
        sequence_length: usize,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        if sequence_length == 0 {
            return Err(DataError::ZeroSize {
                what: "sequence length",
            });
        }
        let longest = rows.iter().map(Tokens::count).max().unwrap_or(0);
        if longest <= sequence_length as u64 {
            return Err(DataError::TooShort {
                found: longest as usize,
                needed: sequence_length + 1,
            });
        }
        let mut count = 0;
        let mut kept = Vec::with_capacity(rows.len());
        for tokens in rows {
            tokens.check(vocab_size)?;
            let before = count;
            count += tokens.count().saturating_sub(1) / sequence_length as u64;
            kept.push(Row { tokens, before });
        }
        Ok(Self {
            rows: kept.into(),
            count,
            sequence_length,
        })
    }

    /// Number of sequences, at least 1.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// For each row: the number of its first sequence, and its number of sequences.
    pub(super) fn rows(&self) -> Vec<(u64, u64)> {
        let starts = self.rows.iter().map(|row| row.before);
        let ends = starts.clone().skip(1).chain([self.count]);
        starts
            .zip(ends)
            .map(|(start, end)| (start, end - start))
            .collect()
    }

    /// Length of a sequence, in tokens.
    pub fn sequence_length(&self) -> usize {
        self.sequence_length
    }

    /// Inputs and targets of the sequences at `positions`, row-major, `[positions, sequence]`.
    ///
    /// # Errors
    ///
    /// [`DataError::Packed`] if a packed file is damaged, has changed since it was opened, or cannot be read.
    pub(super) fn gather(
        &self,
        positions: impl ExactSizeIterator<Item = u64>,
    ) -> Result<(Vec<i32>, Vec<i32>), DataError> {
        let length = self.sequence_length;
        let mut inputs = Vec::with_capacity(positions.len() * length);
        let mut targets = Vec::with_capacity(positions.len() * length);
        let mut window = vec![0; length + 1];
        for position in positions {
            let row = self.rows.partition_point(|row| row.before <= position) - 1;
            let Row { tokens, before } = &self.rows[row];
            tokens.read((position - before) * length as u64, &mut window)?;
            inputs.extend(window[..length].iter().map(|&token| token as i32));
            targets.extend(window[1..].iter().map(|&token| token as i32));
        }
        Ok((inputs, targets))
    }

    /// SHA-256, in hexadecimal, of the ids, or of the packed files' fingerprints. It does not depend on the sequence
    /// length.
    pub fn fingerprint(&self) -> String {
        let mut sha = Sha256::new();
        for row in &*self.rows {
            sha.update(row.tokens.count().to_le_bytes());
            row.tokens.fingerprint(|bytes| sha.update(bytes));
        }
        hexadecimal(sha.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_predict_each_token_once(length in 1_usize..9, extra in 0_usize..40) {
            let total = length + 1 + extra;
            let windows = Windows::new((0..total as u32).collect::<Vec<_>>(), length, total).unwrap();
            let (inputs, targets) = windows.gather((0..windows.count()).collect::<Vec<_>>().into_iter()).unwrap();

            let covered = windows.count() as usize * length;
            prop_assert!(inputs.iter().copied().eq(0..covered as i32));
            prop_assert!(targets.iter().copied().eq(1..covered as i32 + 1));
            // The tokens left over are fewer than a window.
            prop_assert!(total - 1 - covered < length);
        }
    }

    #[test]
    fn no_window_goes_from_one_row_into_another() {
        let row = |tokens: std::ops::Range<u32>| Tokens::Memory(tokens.collect());
        let windows = Windows::over(vec![row(0..7), row(10..12), row(20..27)], 3, 99).unwrap();
        assert_eq!(windows.count(), 4);
        let (inputs, targets) = windows.gather([0, 1, 2, 3].into_iter()).unwrap();
        assert_eq!(inputs, [0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25]);
        assert!(
            inputs
                .iter()
                .zip(targets)
                .all(|(input, target)| input + 1 == target)
        );
    }

    #[test]
    fn other_tokens_have_another_fingerprint() {
        let of = |tokens: &[u32]| Windows::new(tokens, 2, 99).unwrap().fingerprint();
        assert_eq!(of(&[1, 2, 3]), of(&[1, 2, 3]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2, 4]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2, 3, 0]));
    }

    #[test]
    fn a_text_of_one_window_is_long_enough_and_one_token_less_is_not() {
        assert_eq!(Windows::new([1; 9], 8, 2).unwrap().count(), 1);
        let error = Windows::new([1; 8], 8, 2).unwrap_err();
        assert!(matches!(
            error,
            DataError::TooShort {
                found: 8,
                needed: 9
            }
        ));
    }

    #[test]
    fn a_token_the_model_does_not_know_is_refused() {
        let error = Windows::new([1, 2, 7, 3], 2, 7).unwrap_err();
        let message = error.to_string();
        assert!(matches!(
            error,
            DataError::TokenOutOfRange {
                token: 7,
                position: 2,
                vocab_size: 7
            }
        ));
        assert!(message.contains("token 2 of the text is 7"), "{message}");
    }

    #[test]
    fn a_sequence_of_nothing_is_refused() {
        assert!(matches!(
            Windows::new([1, 2], 0, 9),
            Err(DataError::ZeroSize { .. })
        ));
    }
}
