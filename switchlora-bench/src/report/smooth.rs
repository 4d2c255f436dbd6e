//! Moving mean of a noisy loss.

/// Number of updates in a mean: a fiftieth of the training, at least one.
pub fn window(updates: usize) -> usize {
    (updates / 50).max(1)
}

/// The mean of each loss and the losses before it, `window` in all, fewer at the start.
///
/// A loss that is not finite is left out of every mean; its own place is not a number.
pub fn moving_mean(losses: &[f64], window: usize) -> Vec<f64> {
    let mean = |(index, loss): (usize, &f64)| {
        let start = (index + 1).saturating_sub(window);
        let finite = losses[start..=index].iter().filter(|loss| loss.is_finite());
        let (count, sum) = finite.fold((0.0, 0.0), |(count, sum), loss| (count + 1.0, sum + loss));
        if loss.is_finite() {
            sum / count
        } else {
            f64::NAN
        }
    };
    losses.iter().enumerate().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_looks_back_and_not_ahead() {
        assert_eq!(moving_mean(&[4.0, 2.0, 3.0], 2), [4.0, 3.0, 2.5]);
        assert_eq!(moving_mean(&[4.0, 2.0], 1), [4.0, 2.0]);
        assert!(moving_mean(&[], 3).is_empty());
    }

    #[test]
    fn what_is_no_number_has_no_mean_and_spoils_none() {
        let means = moving_mean(&[4.0, f64::NAN, 2.0], 2);
        assert!(means[1].is_nan());
        assert_eq!((means[0], means[2]), (4.0, 2.0));
    }

    #[test]
    fn a_short_training_is_not_smoothed() {
        assert_eq!([window(0), window(99), window(200)], [1, 1, 4]);
    }
}
