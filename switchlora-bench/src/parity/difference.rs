//! The difference between two lists of numbers.

use serde::{Serialize, Serializer};

/// Largest difference and share of small differences, over all numbers added so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Largest absolute difference; infinite if a number is not finite.
    pub largest: f64,
    /// Number of pairs compared.
    pub entries: u64,
    /// Number of pairs whose difference is at most `1e-4`.
    pub close: u64,
}

/// Largest difference at which two entries of a state count as equal.
pub const CLOSE: f64 = 1e-4;

impl Difference {
    /// Compares two lists of the same length number by number.
    pub fn add(
        &mut self,
        ours: impl IntoIterator<Item = f32>,
        theirs: impl IntoIterator<Item = f32>,
    ) {
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            self.add_one((f64::from(ours) - f64::from(theirs)).abs());
        }
    }

    /// Adds one difference.
    pub fn add_one(&mut self, difference: f64) {
        let difference = if difference.is_finite() {
            difference
        } else {
            f64::INFINITY
        };
        self.largest = self.largest.max(difference);
        self.entries += 1;
        self.close += u64::from(difference <= CLOSE);
    }

    /// Adds the comparisons of `other`.
    pub fn join(&mut self, other: &Self) {
        self.largest = self.largest.max(other.largest);
        self.entries += other.entries;
        self.close += other.close;
    }

    /// The largest difference. `None` if nothing was compared.
    pub fn measured(&self) -> Option<f64> {
        (self.entries > 0).then_some(self.largest)
    }

    /// Share of differences of at most `1e-4`. `None` if nothing was compared.
    pub fn share(&self) -> Option<f64> {
        (self.entries > 0).then(|| self.close as f64 / self.entries as f64)
    }
}

/// Serializes the [largest difference](Difference::measured): `null` if nothing was compared or it is infinite.
impl Serialize for Difference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.measured().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_finite_is_never_close() {
        let mut difference = Difference::default();
        difference.add([1.0, f32::NAN], [1.0, f32::NAN]);
        assert_eq!(difference.largest, f64::INFINITY);
        assert_eq!((difference.entries, difference.close), (2, 1));
    }

    #[test]
    fn nothing_compared_is_not_the_same_as_no_difference() {
        let mut difference = Difference::default();
        assert_eq!((difference.measured(), difference.share()), (None, None));
        difference.add([0.5], [0.5]);
        assert_eq!(
            (difference.measured(), difference.share()),
            (Some(0.0), Some(1.0))
        );
    }
}
