//! Positions: rotary embedding in Hugging Face's half-rotation layout, and the causal mask, both made once.
//!
//! For pair `i` of a head of size `d`, angle `position * theta^(-2 i / d)`; `(x_i, x_{i + d/2})` is rotated by it. Angles are
//! computed in f32, as Hugging Face's program does.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData};

/// The causal mask is kept up to this length; it grows with the square of it, and some models have 131,072 positions.
const USUAL: usize = 4096;

/// Tables for every position a model was made for.
#[derive(Module, Debug)]
pub struct Positions<B: Backend> {
    /// Cosine of each angle, `[positions, head_dim / 2]`.
    cos: Tensor<B, 2>,
    /// Sine of each angle, `[positions, head_dim / 2]`.
    sin: Tensor<B, 2>,
    /// True where a query may not look: the key is later, `[length, length]` for the usual lengths.
    later: Tensor<B, 2, Bool>,
}

impl<B: Backend> Positions<B> {
    /// Tables for `positions` positions and heads of size `head_dim`, which is even.
    pub fn new(positions: usize, head_dim: usize, theta: f64, device: &B::Device) -> Self {
        let half = head_dim / 2;
        let table = |of: fn(f64) -> f64| {
            let entry = |i: usize| {
                let exponent = (2 * (i % half)) as f32 / head_dim as f32;
                let frequency = 1.0 / (theta as f32).powf(exponent);
                of(f64::from((i / half) as f32 * frequency)) as f32
            };
            let values: Vec<f32> = (0..positions * half).map(entry).collect();
            Tensor::from_data(TensorData::new(values, [positions, half]), device)
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
            later: Tensor::tril_mask([positions.min(USUAL); 2], 0, device),
        }
    }

    /// Number of positions the tables reach to.
    pub fn len(&self) -> usize {
        self.cos.dims()[0]
    }

    /// Whether there is no position at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rotates the heads of `[batch, heads, positions, head_dim]`.
    pub fn rotate(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let [batch, heads, length, head_dim] = x.dims();
        let half = head_dim / 2;
        let table = |table: &Tensor<B, 2>| {
            let rows = table.clone().slice([0..length, 0..half]);
            rows.reshape([1, 1, length, half])
        };
        let (cos, sin) = (table(&self.cos), table(&self.sin));
        let part = |from, to| x.clone().slice([0..batch, 0..heads, 0..length, from..to]);
        let (left, right) = (part(0, half), part(half, head_dim)); // [batch, heads, positions, head_dim / 2]
        let rotated = left.clone() * cos.clone() - right.clone() * sin.clone();
        Tensor::cat(vec![rotated, right * cos + left * sin], 3)
    }

    /// True where a query at the first `length` positions may not look, `[length, length]`.
    pub fn mask(&self, length: usize) -> Tensor<B, 2, Bool> {
        match length <= self.later.dims()[0] {
            true => self.later.clone().slice([0..length, 0..length]),
            false => Tensor::tril_mask([length, length], 0, &self.cos.device()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestBackend = burn_ndarray::NdArray;

    #[test]
    fn the_product_of_two_rotated_vectors_depends_on_their_distance_only() {
        let device = Default::default();
        let positions = Positions::<TestBackend>::new(9, 6, 100.0, &device);
        let vector = |values: [f32; 6]| Tensor::<TestBackend, 1>::from_floats(values, &device);
        let everywhere = |v: Tensor<TestBackend, 1>| {
            let rows = v.reshape([1, 1, 1, 6]).repeat_dim(2, 9); // [1, 1, positions, head_dim]
            positions.rotate(rows).reshape([9, 6])
        };
        let q = everywhere(vector([0.3, -1.0, 0.7, 0.2, 0.9, -0.4]));
        let k = everywhere(vector([1.1, 0.5, -0.6, 0.8, -0.1, 0.3]));
        let products = q.matmul(k.transpose()).into_data(); // [query, key]
        let products: Vec<f32> = products.iter::<f32>().collect();
        for distance in 0..5 {
            let first = products[distance * 9];
            for key in 0..9 - distance {
                let product = products[(key + distance) * 9 + key];
                assert!((product - first).abs() < 1e-5, "{product} {first}");
            }
        }
        assert!((products[0] - products[9]).abs() > 1e-3);
    }
}
