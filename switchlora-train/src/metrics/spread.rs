//! Mean and standard deviation of a metric over runs with different seeds.

use super::centered::Centered;

/// Mean and sample standard deviation `sqrt(sum (value - mean)^2 / (n - 1))` of `[runs]` values.
///
/// The deviation of one value is NaN: one run says nothing about the spread. Both are NaN for no values and for a value
/// that is not finite.
///
/// ```
/// use switchlora_train::metrics::mean_and_deviation;
///
/// assert_eq!(mean_and_deviation(&[1.0, 2.0, 3.0]), (2.0, 1.0));
/// assert!(mean_and_deviation(&[0.5]).1.is_nan());
/// ```
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let centered = Centered::of(values);
    // 0 / 0 for fewer than two values.
    let variance = centered.sum_of_squares() / values.len().saturating_sub(1) as f64;
    (centered.mean, centered.scale * variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_deviation_follows_the_unit_and_ignores_the_offset(
            values in vec(-100i32..100, 2..20),
        ) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let (mean, deviation) = mean_and_deviation(&values);
            let other: Vec<f64> = values.iter().map(|value| 8.0 * value + 1e9).collect();
            let (other_mean, other_deviation) = mean_and_deviation(&other);
            // The spacing of f64 at 1e9 is 1.2e-7; the deviation does not see the offset.
            prop_assert!((other_mean - (8.0 * mean + 1e9)).abs() < 1e-6);
            prop_assert!((other_deviation - 8.0 * deviation).abs() < 1e-9);
        }

        #[test]
        fn equal_values_deviate_by_exactly_zero(value in -1e3f64..1e3, count in 2usize..20) {
            prop_assert_eq!(mean_and_deviation(&vec![value; count]), (value, 0.0));
        }
    }

    #[test]
    fn no_values_have_neither_mean_nor_deviation() {
        let (mean, deviation) = mean_and_deviation(&[]);
        assert!(mean.is_nan() && deviation.is_nan());
        let (mean, deviation) = mean_and_deviation(&[0.25]);
        assert!(mean == 0.25 && deviation.is_nan());
    }
}
