//! Rotary position embedding in Hugging Face's half-rotation layout, and the causal mask, both computed once.
//!
//! In a head of width `d`, the pair `(x_i, x_{i + d/2})` is rotated by the angle `position * theta^(-2 i / d)`. Angles are
//! computed in f32, as in Hugging Face's program.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData};
use std::ops::Range;
use switchlora_ops::AttentionTables;

/// Largest length of the stored causal mask. The mask grows with the square of the length, and some models have 131,072
/// positions.
const USUAL: usize = 4096;

/// Rotary tables for every position of a model, and the causal mask.
#[derive(Module, Debug)]
pub struct Positions<B: Backend> {
    /// Cosine of each angle, `[positions, head_dim / 2]`.
    cos: Tensor<B, 2>,
    /// Sine of each angle, `[positions, head_dim / 2]`.
    sin: Tensor<B, 2>,
    /// Causal mask: true where the key is later than the query, `[length, length]` up to the usual length.
    later: Tensor<B, 2, Bool>,
}

impl<B: Backend> Positions<B> {
    /// Tables for `positions` positions and heads of an even width `head_dim`.
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

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.cos.dims()[0]
    }

    /// Whether there are no positions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns cosines and sines of the positions in `range`, each `[positions, head_dim / 2]`.
    pub(super) fn angles(&self, range: Range<usize>) -> (Tensor<B, 2>, Tensor<B, 2>) {
        let rows = |table: &Tensor<B, 2>| table.clone().slice_dim(0, range.clone());
        (rows(&self.cos), rows(&self.sin))
    }

    /// Returns the tables of sequences of `length` tokens.
    pub fn tables(&self, length: usize) -> AttentionTables<B> {
        let (cos, sin) = self.angles(0..length);
        let later = self.later.clone();
        let known = length <= later.dims()[0];
        AttentionTables {
            cos,
            sin,
            later: known.then(|| later.slice([0..length, 0..length])),
        }
    }
}
