//! Texts with something to predict about each: a class, a number, or the answer to a prompt.
//!
//! Rows of a batch are padded on the right to the longest one. Attention is causal, so no token sees the padding after it, and
//! nothing is predicted at a padded place: there is no mask.

use super::Permutation;
use super::batches::{HostBatch, HostTargets};
use super::permutation::mix;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// Rows are padded to a multiple of this, so that a GPU compiles few shapes.
const STEP: usize = 8;
/// Batches whose rows are sorted by length together.
const SORTED: u64 = 32;

/// A text as token ids, and what is to be predicted about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The ids of the text, at least one.
    pub ids: Vec<u32>,
    /// What is to be predicted.
    pub target: Target,
}

impl Row {
    /// The tokens that the model reads: the last one of an answer is only predicted.
    fn inputs(&self) -> &[u32] {
        match (self.target, self.ids.split_last()) {
            (Target::Answer(_), Some((_, inputs))) => inputs,
            _ => &self.ids,
        }
    }
}

/// What is to be predicted about a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The class of the text, after its last token.
    Class(u32),
    /// A number, after its last token.
    Value(f32),
    /// The tokens from this place on, each after the one before it; at least 1.
    Answer(usize),
}

/// Texts of one task, all with the same kind of [`Target`].
#[derive(Clone, Debug)]
pub struct Examples {
    rows: Vec<Row>,
    /// The id that fills rows.
    pad: u32,
    /// Tokens that a row is not padded beyond.
    most: usize,
}

impl Examples {
    /// Examples, at least one, padded with the token `pad` to at most `most` tokens, or the longest of them.
    ///
    /// # Panics
    ///
    /// If there are no rows, a row has no token, or an answer has none or nothing before it.
    pub fn new(rows: Vec<Row>, pad: u32, most: usize) -> Self {
        assert!(!rows.is_empty(), "there are no examples");
        for row in &rows {
            assert!(!row.ids.is_empty(), "an example has no token");
            let wrong =
                matches!(row.target, Target::Answer(start) if start == 0 || start >= row.ids.len());
            assert!(!wrong, "an answer has no token, or nothing is before it");
        }
        Self { rows, pad, most }
    }

    /// Their number.
    pub fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The examples in their order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Batches of an epoch.
    pub fn batches(&self, batch_size: usize) -> u64 {
        self.count().div_ceil(batch_size as u64)
    }

    /// The examples of a range, in their order.
    pub fn batch(&self, range: Range<u64>) -> HostBatch {
        let rows = self.rows[range.start as usize..range.end as usize].iter();
        self.padded(&rows.collect::<Vec<_>>())
    }

    /// Batch `number` of an endless stream in which each epoch has every example once, in an order that `seed` chooses.
    ///
    /// The shuffled examples of every [`SORTED`] batches are sorted by length, and then the batches of the epoch are shuffled.
    pub(super) fn shuffled(&self, number: u64, batch_size: usize, seed: u64) -> HostBatch {
        let (count, size) = (self.count(), batch_size as u64);
        let batches = self.batches(batch_size);
        let (epoch, place) = (number / batches, number % batches);
        let batch = Permutation::new(batches, mix(seed, 2 * epoch + 1)).get(place);
        let order = Permutation::new(count, mix(seed, 2 * epoch));
        let together = SORTED * size;
        let begin = batch / SORTED * together;
        let mut rows: Vec<_> = (begin..(begin + together).min(count))
            .map(|place| &self.rows[order.get(place) as usize])
            .collect();
        // Stable, so that the order is the same on every machine.
        rows.sort_by_key(|row| row.ids.len());
        let first = (batch % SORTED * size) as usize;
        let last = (first + batch_size).min(rows.len());
        self.padded(&rows[first..last])
    }

    fn padded(&self, rows: &[&Row]) -> HostBatch {
        let longest = rows.iter().map(|row| row.inputs().len()).max().unwrap_or(1);
        let length = longest.next_multiple_of(STEP).min(self.most.max(longest));
        let mut inputs = Vec::with_capacity(rows.len() * length);
        let (mut positions, mut ids, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let begin = inputs.len();
            let at = |place: usize| (begin + place) as i32;
            inputs.extend(row.inputs().iter().map(|&id| id as i32));
            inputs.resize(begin + length, self.pad as i32);
            let last = row.ids.len() - 1;
            match row.target {
                Target::Class(class) => {
                    positions.push(at(last));
                    ids.push(class as i32);
                }
                Target::Value(value) => {
                    positions.push(at(last));
                    values.push(value);
                }
                Target::Answer(start) => {
                    for place in start..row.ids.len() {
                        positions.push(at(place - 1));
                        ids.push(row.ids[place] as i32);
                    }
                }
            }
        }
        HostBatch {
            inputs,
            length,
            targets: match values.is_empty() {
                true => HostTargets::At(positions, ids),
                false => HostTargets::Values(positions, values),
            },
        }
    }

    /// SHA-256, in hexadecimal, of ids and targets.
    pub fn fingerprint(&self) -> String {
        let mut sha = Sha256::new();
        for Row { ids, target } in &self.rows {
            sha.update((ids.len() as u64).to_le_bytes());
            ids.iter().for_each(|id| sha.update(id.to_le_bytes()));
            let (kind, bits) = match *target {
                Target::Class(class) => (0u8, u64::from(class)),
                Target::Value(value) => (1, u64::from(value.to_bits())),
                Target::Answer(start) => (2, start as u64),
            };
            sha.update([kind]);
            sha.update(bits.to_le_bytes());
        }
        crate::hexadecimal(sha.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Examples whose first id is their number.
    fn examples(lengths: &[usize]) -> Examples {
        let row = |(number, &length): (usize, &usize)| Row {
            ids: (0..length)
                .map(|place| (number * 1000 + place) as u32)
                .collect(),
            target: Target::Class(number as u32),
        };
        Examples::new(lengths.iter().enumerate().map(row).collect(), 7, 40)
    }

    proptest! {
        #[test]
        fn each_epoch_has_every_example_once_and_its_class_after_its_last_token(
            lengths in prop::collection::vec(1usize..40, 1..200), size in 1usize..9, seed: u64, epoch in 0u64..3,
        ) {
            let examples = examples(&lengths);
            let batches = examples.batches(size);
            let mut found = Vec::new();
            for number in epoch * batches..(epoch + 1) * batches {
                let batch = examples.shuffled(number, size, seed);
                let HostTargets::At(positions, ids) = &batch.targets else { panic!("classes") };
                prop_assert!(batch.length.is_multiple_of(STEP) || batch.length == 40);
                for (row, (&position, &class)) in positions.iter().zip(ids).enumerate() {
                    let length = lengths[class as usize];
                    prop_assert_eq!(position as usize, row * batch.length + length - 1);
                    let ids = &batch.inputs[row * batch.length..][..batch.length];
                    prop_assert_eq!(ids[0], class * 1000);
                    prop_assert!(ids[length..].iter().all(|&id| id == 7));
                    found.push(class);
                }
            }
            found.sort_unstable();
            prop_assert!(found.into_iter().eq(0..lengths.len() as i32));
        }
    }

    #[test]
    fn an_answer_is_predicted_token_by_token_and_nothing_else_is() {
        let row = |ids: &[u32], start| Row {
            ids: ids.to_vec(),
            target: Target::Answer(start),
        };
        let examples = Examples::new(vec![row(&[1, 2, 3, 4], 2), row(&[5, 6], 1)], 0, 3);
        let batch = examples.batch(0..2);
        assert_eq!(batch.targets, HostTargets::At(vec![1, 2, 3], vec![3, 4, 6]));
        // As long as the longest may be, though three is no multiple of eight.
        assert_eq!(batch.inputs, [1, 2, 3, 5, 0, 0]);
    }

    #[test]
    fn batches_of_long_and_short_rows_are_short_or_long() {
        let lengths: Vec<usize> = (0..64).map(|i| if i % 2 == 0 { 4 } else { 60 }).collect();
        let examples = examples(&lengths);
        let lengths: Vec<_> = (0..8).map(|k| examples.shuffled(k, 8, 3).length).collect();
        assert_eq!(lengths.iter().filter(|&&length| length == 8).count(), 4);
    }
}
