//! Mixes weighted files: computes the file of each training sequence from the sequence's number alone.
//!
//! A period of 4096 sequences takes a number of sequences of each file in proportion to its weight, in an order that
//! the seed chooses. The period repeats. So the file of sequence `n`, and its number within that file, are computed
//! without counting from the start.

use super::Permutation;

/// Length of the repeating pattern, in sequences.
const PERIOD: usize = 4096;

/// The repeating pattern.
#[derive(Debug)]
pub(super) struct Mixture {
    /// For each sequence of a period: its file, and the number of earlier sequences of the period from that file.
    slots: Vec<(usize, u64)>,
    /// Sequences of each file per period.
    counts: Vec<u64>,
}

impl Mixture {
    /// The pattern for files of these weights. `None` if there is no weight, more than 4096, or one that is not finite
    /// and above 0.
    pub fn new(weights: &[f64], seed: u64) -> Option<Self> {
        let sound = |weight: &f64| weight.is_finite() && *weight > 0.0;
        let total: f64 = weights.iter().sum();
        if weights.is_empty()
            || !weights.iter().all(sound)
            || !total.is_finite()
            || weights.len() > PERIOD
        {
            return None;
        }
        // Each file gets one slot; every further slot goes to the file furthest below its share.
        let mut counts = vec![1_u64; weights.len()];
        for _ in weights.len()..PERIOD {
            let lacks = |file: usize| weights[file] / total * PERIOD as f64 - counts[file] as f64;
            let most = (0..weights.len()).max_by(|&a, &b| lacks(a).total_cmp(&lacks(b)))?;
            counts[most] += 1;
        }
        let files = counts
            .iter()
            .enumerate()
            .flat_map(|(file, &count)| (0..count).map(move |_| file));
        let files: Vec<usize> = files.collect();
        let order = Permutation::new(PERIOD as u64, seed);
        let mut before = vec![0; weights.len()];
        let slots = (0..PERIOD as u64).map(|slot| {
            let file = files[order.get(slot) as usize];
            before[file] += 1;
            (file, before[file] - 1)
        });
        Some(Self {
            slots: slots.collect(),
            counts: counts.clone(),
        })
    }

    /// The file of sequence `number`, and the sequence's number within that file, counted over all periods.
    pub fn of(&self, number: u64) -> (usize, u64) {
        let (file, before) = self.slots[(number % PERIOD as u64) as usize];
        (file, number / PERIOD as u64 * self.counts[file] + before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn each_file_comes_by_its_weight_and_its_sequences_in_their_order(
            weights in prop::collection::vec(0.01_f64..9.0, 1..6), seed: u64,
        ) {
            let mixture = Mixture::new(&weights, seed).unwrap();
            let mut next = vec![0; weights.len()];
            for number in 0..2 * PERIOD as u64 {
                let (file, index) = mixture.of(number);
                prop_assert_eq!(index, next[file]);
                next[file] += 1;
            }
            let total: f64 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(next) {
                // Off by at most one sequence per period, or by the slot that every file gets.
                prop_assert!((count as f64 - 2.0 * PERIOD as f64 * weight / total).abs() <= 2.0 + weights.len() as f64);
            }
        }
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        for weights in [
            &[][..],
            &[0.0, 1.0],
            &[-1.0],
            &[f64::NAN],
            &[f64::INFINITY, 1.0],
        ] {
            assert!(Mixture::new(weights, 0).is_none(), "{weights:?}");
        }
    }
}
