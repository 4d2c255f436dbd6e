//! Initialization bounds of the factors and their candidates (Section 3.4 of the paper).
//!
//! With `n` inputs, `m` outputs, rank `r` and the gain `g = sqrt(2 / (1 + 5)) = sqrt(1/3)`:
//! `std(A) = (sqrt(m) r / n^(3/2))^(1/4) g^(1/2)`, `std(B) = (r / sqrt(m n))^(1/4) g^(1/2)`, both uniform on
//! `[-sqrt(3) std, sqrt(3) std]`. The live vectors and the candidates of a side come from the same distribution, so that
//! a switch changes a direction and not a size.

use burn::tensor::TensorData;
use rand::Rng;

/// Half-widths of the uniform distributions that A and B (and their candidates) are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Bound of the entries of A and C(A).
    pub a: f64,
    /// Bound of the entries of B and C(B).
    pub b: f64,
}

impl Bounds {
    /// The paper's bounds for a layer of `d_input` inputs, `d_output` outputs and the given rank.
    pub fn new(d_input: usize, d_output: usize, rank: usize) -> Self {
        let (n, m, r) = (d_input as f64, d_output as f64, rank as f64);
        let gain = (1.0f64 / 3.0).sqrt();
        let std_a = (m.sqrt() * r / n.powf(1.5)).powf(0.25) * gain.sqrt();
        let std_b = (r / (m * n).sqrt()).powf(0.25) * gain.sqrt();
        Self {
            a: 3f64.sqrt() * std_a,
            b: 3f64.sqrt() * std_b,
        }
    }

    /// The bounds of plain LoRA: A uniform on `+-1/sqrt(n)` (Kaiming uniform), B zero.
    pub fn lora(d_input: usize) -> Self {
        Self {
            a: 1.0 / (d_input as f64).sqrt(),
            b: 0.0,
        }
    }
}

/// A `[rows, columns]` matrix of f32 drawn uniformly from `[-bound, bound)` on the host.
///
/// Drawn there so that every backend starts from the same numbers.
pub fn uniform(rows: usize, columns: usize, bound: f64, rng: &mut impl Rng) -> TensorData {
    let bound = bound as f32;
    let values: Vec<f32> = (0..rows * columns)
        .map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound)
        .collect();
    TensorData::new(values, [rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn bounds_follow_the_formula_on_a_layer_that_is_not_square() {
        // n = 64, m = 176, r = 16: worked out by hand to six digits.
        let bounds = Bounds::new(64, 176, 16);
        let std_a = (176f64.sqrt() * 16.0 / 512.0).powf(0.25) * 3f64.powf(-0.25);
        let std_b = (16.0 / (64.0f64 * 176.0).sqrt()).powf(0.25) * 3f64.powf(-0.25);
        assert!((bounds.a / 3f64.sqrt() - std_a).abs() < 1e-12);
        assert!((bounds.b / 3f64.sqrt() - std_b).abs() < 1e-12);
    }

    #[test]
    fn a_uniform_matrix_stays_within_its_bound_and_has_its_deviation() {
        let mut rng = stream(3, Purpose::CandidatesA, 0, 0);
        let data = uniform(200, 100, 0.3, &mut rng);
        let values = data.as_slice::<f32>().unwrap();
        assert!(values.iter().all(|v| v.abs() <= 0.3));
        let variance = values.iter().map(|v| (v * v) as f64).sum::<f64>() / values.len() as f64;
        // Relative error of a variance over 20,000 uniform draws is about 0.6 %.
        assert!((variance.sqrt() / (0.3 / 3f64.sqrt()) - 1.0).abs() < 0.02);
    }
}
