//! Ranks of values, with the average rank for ties.

/// The rank of each value, 1 for the smallest; equal values share the mean of their ranks. `[values]` to `[values]`.
///
/// `-0` equals `0`, and infinities are ordinary values. The values must not contain NaN, which has no rank.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for ties in order.chunk_by(|&i, &j| values[i] == values[j]) {
        // The mean of below + 1 ..= below + ties.len().
        let rank = below as f64 + (ties.len() + 1) as f64 / 2.0;
        ties.iter().for_each(|&i| ranks[i] = rank);
        below += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_rank_counts_the_smaller_values_and_half_of_the_ties(values in vec(-6i32..6, 0..40)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let count = |test: &dyn Fn(f64) -> bool| values.iter().filter(|&&v| test(v)).count() as f64;
            for (&value, rank) in values.iter().zip(average_ranks(&values)) {
                let (smaller, equal) = (count(&|v| v < value), count(&|v| v == value));
                prop_assert_eq!(rank, smaller + (equal + 1.0) / 2.0);
            }
        }
    }

    #[test]
    fn zeros_of_both_signs_are_tied_and_infinities_are_the_extremes() {
        let values = [0.0, f64::INFINITY, -0.0, f64::NEG_INFINITY];
        assert_eq!(average_ranks(&values), [2.5, 4.0, 2.5, 1.0]);
    }
}
