//! Singular values and effective rank of a matrix: the number of directions in which a weight has changed.
//!
//! The effective rank is `exp(H(p))` with `p_i = sigma_i / sum(sigma)` and the entropy `H(p) = - sum p_i ln p_i` (Roy and
//! Vetterli, 2007): `k` equal singular values have effective rank `k`.
//!
//! ```
//! use burn::tensor::TensorData;
//! use switchlora_core::Spectrum;
//!
//! let matrix = TensorData::new(vec![2.0f32, 0.0, 0.0, 0.0, 2.0, 0.0], [2, 3]);
//! let spectrum = Spectrum::of(&matrix).unwrap();
//! assert!((spectrum.effective_rank() - 2.0).abs() < 1e-9);
//! ```

use crate::svd::{SvdError, singular_values};
use burn::tensor::TensorData;

/// The singular values of a matrix, the largest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum(Vec<f64>);

impl Spectrum {
    /// The spectrum of a `[rows, columns]` matrix, `min(rows, columns)` values.
    ///
    /// # Errors
    ///
    /// An entry is not finite, or the iteration does not end.
    pub fn of(matrix: &TensorData) -> Result<Self, SvdError> {
        singular_values(matrix).map(Self)
    }

    /// The singular values, the largest first.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// `exp` of the entropy of the singular values as shares of their sum; 0 for a matrix of zeros.
    pub fn effective_rank(&self) -> f64 {
        let sum: f64 = self.0.iter().sum();
        if sum <= 0.0 {
            return 0.0;
        }
        let shares = self.0.iter().map(|value| value / sum);
        let terms = shares.filter(|&share| share > 0.0);
        (-terms.map(|share| share * share.ln()).sum::<f64>()).exp()
    }

    /// How many singular values are above `share` of the largest.
    pub fn count_above(&self, share: f64) -> usize {
        let least = self.0.first().copied().unwrap_or(0.0) * share;
        self.0.iter().filter(|&&value| value > least).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::uniform;
    use crate::random::{Purpose, stream};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_product_of_two_thin_factors_has_no_more_directions_than_they_are_thin(
            rows in 2usize..14, columns in 2usize..14, rank in 1usize..6, seed: u64,
        ) {
            let rank = rank.min(rows).min(columns);
            let random = &mut stream(seed, Purpose::Weights, 0, 0);
            let a: Vec<f64> = uniform(rows, rank, 1.0, random).iter::<f64>().collect();
            let b: Vec<f64> = uniform(rank, columns, 1.0, random).iter::<f64>().collect();
            let entry = |i: usize| {
                let (row, column) = (i / columns, i % columns);
                (0..rank).map(|k| a[row * rank + k] * b[k * columns + column]).sum::<f64>()
            };
            let product: Vec<f64> = (0..rows * columns).map(entry).collect();
            let spectrum = Spectrum::of(&TensorData::new(product, [rows, columns])).unwrap();
            prop_assert_eq!(spectrum.values().len(), rows.min(columns));
            // Beyond the rank there is rounding of f64 alone.
            prop_assert!(spectrum.count_above(1e-10) <= rank);
            prop_assert!(spectrum.effective_rank() <= rank as f64 + 1e-9);
            prop_assert!(spectrum.effective_rank() >= 1.0 - 1e-9);
        }
    }

    #[test]
    fn nothing_has_no_directions_and_one_percent_is_counted_from_the_largest() {
        let zero = Spectrum::of(&TensorData::zeros::<f32, _>([3, 2])).unwrap();
        assert_eq!((zero.effective_rank(), zero.count_above(0.01)), (0.0, 0));
        let diagonal = TensorData::new(vec![1.0f32, 0.0, 0.0, 0.009], [2, 2]);
        let spectrum = Spectrum::of(&diagonal).unwrap();
        assert_eq!(
            (spectrum.count_above(0.01), spectrum.count_above(0.001)),
            (1, 2)
        );
    }
}
