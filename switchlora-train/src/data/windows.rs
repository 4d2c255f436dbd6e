//! A row of tokens cut into sequences of one length.
//!
//! Window `i` is tokens `i s ..= (i + 1) s`, for a sequence length of `s`: `s + 1` tokens, of which the first `s` are the
//! inputs and the last `s` the targets. So every token but the first is predicted exactly once, up to the last window.

use std::sync::Arc;

use super::DataError;

/// Tokens of a text, checked against a model, as sequences. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Windows {
    tokens: Arc<[u32]>,
    sequence_length: usize,
}

impl Windows {
    /// Cuts `tokens` into sequences for a model of `vocab_size` tokens.
    ///
    /// # Errors
    ///
    /// [`DataError::ZeroSize`] for a sequence length of 0, [`DataError::TooShort`] for less than one window of tokens,
    /// [`DataError::TokenOutOfRange`] for a token the model does not know.
    pub fn new(
        tokens: impl Into<Arc<[u32]>>,
        sequence_length: usize,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        let tokens = tokens.into();
        if sequence_length == 0 {
            return Err(DataError::ZeroSize {
                what: "sequence length",
            });
        }
        if tokens.len() <= sequence_length {
            return Err(DataError::TooShort {
                found: tokens.len(),
                needed: sequence_length + 1,
            });
        }
        // Batches hold ids as `i32`, the integers every backend has.
        let known = vocab_size.min(i32::MAX as usize);
        if let Some(position) = tokens.iter().position(|&token| token as usize >= known) {
            return Err(DataError::TokenOutOfRange {
                token: tokens[position],
                position,
                vocab_size,
            });
        }
        Ok(Self {
            tokens,
            sequence_length,
        })
    }

    /// How many sequences there are; at least one.
    pub fn count(&self) -> u64 {
        ((self.tokens.len() - 1) / self.sequence_length) as u64
    }

    /// Inputs, and targets, in a sequence.
    pub fn sequence_length(&self) -> usize {
        self.sequence_length
    }

    /// Inputs and targets of the sequences at these positions, one after the other.
    pub(super) fn gather(
        &self,
        positions: impl ExactSizeIterator<Item = u64>,
    ) -> (Vec<i32>, Vec<i32>) {
        let length = self.sequence_length;
        let mut inputs = Vec::with_capacity(positions.len() * length);
        let mut targets = Vec::with_capacity(positions.len() * length);
        for position in positions {
            let start = position as usize * length;
            let ids = |from: usize| {
                self.tokens[from..from + length]
                    .iter()
                    .map(|&token| token as i32)
            };
            inputs.extend(ids(start));
            targets.extend(ids(start + 1));
        }
        (inputs, targets)
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
            let (inputs, targets) = windows.gather((0..windows.count()).collect::<Vec<_>>().into_iter());

            let covered = windows.count() as usize * length;
            prop_assert!(inputs.iter().copied().eq(0..covered as i32));
            prop_assert!(targets.iter().copied().eq(1..covered as i32 + 1));
            // Less than a window is left over.
            prop_assert!(total - 1 - covered < length);
        }
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
