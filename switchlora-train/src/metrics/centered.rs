//! Values minus their mean, without overflow, and without the rounding of a large offset.

/// Values relative to their mean, in units of `scale`: `value[i] = mean + scale * deviations[i]`.
pub struct Centered {
    /// Mean of the values.
    pub mean: f64,
    /// Largest distance of a value from the mean before its correction; 1 if that distance is 0.
    pub scale: f64,
    /// `[values]`, about -1 to 1, with mean 0. Exactly 0 for values that are all equal.
    pub deviations: Vec<f64>,
}

impl Centered {
    /// Centers the values. The mean and all deviations are NaN if a value is not finite or a sum or difference
    /// overflows.
    ///
    /// A mean near 1e9 can be off by more than the values differ. The mean of the deviations is this rounding error, so
    /// it is subtracted too. The deviations are scaled first, so that neither their mean nor their squares underflow or
    /// overflow.
    pub fn of(values: &[f64]) -> Self {
        let first = mean(values);
        let mut deviations: Vec<f64> = values.iter().map(|value| value - first).collect();
        let largest = deviations
            .iter()
            .fold(0.0, |largest: f64, d| largest.max(d.abs()));
        let scale = if largest > 0.0 { largest } else { 1.0 };
        deviations.iter_mut().for_each(|d| *d /= scale);
        let correction = mean(&deviations);
        deviations.iter_mut().for_each(|d| *d -= correction);
        Self {
            mean: first + scale * correction,
            scale,
            deviations,
        }
    }

    /// Sum of the squared deviations, in units of `scale^2`.
    pub fn sum_of_squares(&self) -> f64 {
        self.deviations.iter().map(|d| d * d).sum()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_values_have_deviations_of_exactly_zero(value in -1e300f64..1e300, count in 1usize..50) {
            let centered = Centered::of(&vec![value; count]);
            prop_assert!(centered.deviations.iter().all(|&d| d == 0.0));
        }

        #[test]
        fn an_offset_that_is_added_exactly_changes_nothing(values in vec(-1000i32..1000, 2..40)) {
            let plain: Vec<f64> = values.iter().copied().map(f64::from).collect();
            let shifted: Vec<f64> = plain.iter().map(|value| value + 1e12).collect();
            let (plain, shifted) = (Centered::of(&plain), Centered::of(&shifted));
            // Values up to 1000 around 1e12, whose spacing is 1e-4.
            prop_assert!((shifted.mean - 1e12 - plain.mean).abs() < 2e-4);
            for (a, b) in plain.deviations.iter().zip(&shifted.deviations) {
                // Rounding of f64 at up to 1000, relative to a scale of at least 0.5.
                prop_assert!((a * plain.scale - b * shifted.scale).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn a_value_that_is_not_finite_makes_everything_nan() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let centered = Centered::of(&[1.0, odd, 2.0]);
            assert!(centered.mean.is_nan());
            assert!(centered.deviations.iter().all(|d| d.is_nan()));
        }
    }
}
