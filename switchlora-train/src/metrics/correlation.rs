//! Pearson and Spearman correlation of predicted values.

use super::assert_same_length;
use super::centered::Centered;
use super::ranks::average_ranks;

/// Pearson correlation: `sum dx dy / sqrt(sum dx^2 sum dy^2)`, with `dx` and `dy` the distances from the means.
///
/// Both slices are `[examples]`. As scipy's `pearsonr`: NaN for a constant input, for a value that is not finite and
/// for sums or differences beyond the range of f64; never outside -1 to 1; exactly 1 or -1 for two examples. NaN for
/// fewer than two examples, where scipy raises an error.
///
/// The two can differ where scipy loses digits: for values that differ by less than about 1e-11 of their mean, and for
/// distances near the smallest f64. The result here stays accurate.
///
/// # Panics
///
/// If the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    assert_same_length(x, y);
    let (x, y) = (Centered::of(x), Centered::of(y));
    let products = x
        .deviations
        .iter()
        .zip(&y.deviations)
        .map(|(dx, dy)| dx * dy);
    // 0 / 0 for a constant, NaN as required.
    let r = products.sum::<f64>() / (x.sum_of_squares() * y.sum_of_squares()).sqrt();
    let r = if x.deviations.len() == 2 {
        r.round()
    } else {
        r
    };
    r.clamp(-1.0, 1.0)
}

/// Spearman correlation: the Pearson correlation of the ranks, with the average rank for ties.
///
/// Both slices are `[examples]`. As scipy's `spearmanr`: NaN for a constant input, for fewer than two examples and
/// for a NaN among the values. Infinities have ranks as other values do.
///
/// # Panics
///
/// If the lengths differ.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    assert_same_length(x, y);
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return f64::NAN;
    }
    pearson(&average_ranks(x), &average_ranks(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Rounding of sums of 40 products, relative to their size.
    const ROUNDING: f64 = 1e-12;

    type Pairs = Vec<(i32, i32)>;

    /// Small integers, so that ties are frequent, and the same pairs in another order.
    fn pairs_and_shuffled() -> impl Strategy<Value = (Pairs, Pairs)> {
        let pairs = vec((-20i32..20, -20i32..20), 0..40);
        pairs.prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle()))
    }

    fn split(pairs: &[(i32, i32)]) -> (Vec<f64>, Vec<f64>) {
        pairs
            .iter()
            .map(|&(x, y)| (f64::from(x), f64::from(y)))
            .unzip()
    }

    fn same(a: f64, b: f64) -> bool {
        (a - b).abs() < ROUNDING || (a.is_nan() && b.is_nan())
    }

    fn map(values: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
        values.iter().copied().map(f).collect()
    }

    fn is_constant(values: &[f64]) -> bool {
        values.iter().all(|&value| value == values[0])
    }

    proptest! {
        #[test]
        fn order_of_examples_and_order_of_inputs_change_nothing(
            (pairs, shuffled) in pairs_and_shuffled(),
        ) {
            let ((x, y), (u, v)) = (split(&pairs), split(&shuffled));
            for correlation in [pearson, spearman] {
                prop_assert!(same(correlation(&x, &y), correlation(&u, &v)));
                prop_assert!(same(correlation(&x, &y), correlation(&y, &x)));
            }
        }

        #[test]
        fn a_value_is_within_its_bounds_or_nan_for_a_constant((pairs, _) in pairs_and_shuffled()) {
            let (x, y) = split(&pairs);
            let undefined = is_constant(&x) || is_constant(&y);
            for r in [pearson(&x, &y), spearman(&x, &y)] {
                prop_assert_eq!(r.is_nan(), undefined);
                prop_assert!(undefined || (-1.0..=1.0).contains(&r));
            }
        }

        #[test]
        fn an_input_correlates_perfectly_with_itself(mut x in vec(-1e6f64..1e6, 1..40)) {
            x.push(x[0] + 1.0); // No constant.
            let opposite = map(&x, |value| -value);
            for correlation in [pearson, spearman] {
                prop_assert_eq!(correlation(&x, &x), 1.0);
                prop_assert_eq!(correlation(&x, &opposite), -1.0);
            }
        }

        #[test]
        fn pearson_ignores_units_and_offsets((pairs, _) in pairs_and_shuffled()) {
            let (x, y) = split(&pairs);
            for (unit, offset) in [(1e-150, 0.0), (1e150, 0.0), (1.0, 1e9), (3.0, -7.0)] {
                let other = map(&x, |value| unit * value + offset);
                prop_assert!(same(pearson(&other, &y), pearson(&x, &y)));
            }
        }

        #[test]
        fn spearman_ignores_every_map_that_keeps_the_order((pairs, _) in pairs_and_shuffled()) {
            let (x, y) = split(&pairs);
            let expected = spearman(&x, &y);
            // The same ranks, so the same bits.
            for other in [map(&x, |v| v * v * v + v), map(&x, f64::exp), map(&x, f64::atan)] {
                prop_assert_eq!(spearman(&other, &y).to_bits(), expected.to_bits());
            }
        }
    }

    #[test]
    fn two_examples_correlate_exactly_and_fewer_not_at_all() {
        assert_eq!(pearson(&[0.1, 0.7], &[1e9 + 0.3, 1e9 + 0.1]), -1.0);
        assert!(pearson(&[1.0], &[2.0]).is_nan() && pearson(&[], &[]).is_nan());
        assert!(spearman(&[1.0], &[2.0]).is_nan() && spearman(&[], &[]).is_nan());
    }

    #[test]
    #[should_panic(expected = "the number of predictions differs from the number of labels")]
    fn slices_of_different_lengths_are_refused() {
        spearman(&[0.0, 1.0], &[0.0]);
    }
}
