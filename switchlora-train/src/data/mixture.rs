//! Several files with weights: which file each sequence of a stream is from, known by its number alone.
//!
//! A period of 4096 sequences has of each file as many as its weight says, in an order that the seed chooses; it repeats. So
//! the `n`-th sequence is from a known file and is a known one of that file, and nothing has to be counted to get there.

use super::Permutation;

/// Sequences after which the pattern repeats.
const PERIOD: usize = 4096;

/// A pattern of files.
#[derive(Debug)]
pub(super) struct Mixture {
    /// The file of each sequence of a period, and how many before it are from the same one.
    slots: Vec<(usize, u64)>,
    /// Sequences of each file in a period.
    counts: Vec<u64>,
}

impl Mixture {
    /// A pattern for files of these weights, which are above 0; none if a weight is not, or there are more than a period.
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
        // Each file once, the rest to whoever lacks most of its share.
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

    /// The file of sequence `number`, and which sequence of that file it is, counted over all periods.
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
                // Within one sequence a period, or the one that every file has.
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
