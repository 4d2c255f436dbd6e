//! Causal attention with rotary positions.

use super::Plain;
use crate::operations::CausalAttention;
use crate::{Attention, Heads, Precision};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;

impl<B: Backend> CausalAttention<B> for Plain {
    fn causal_attention(&self, attention: Attention<B>, precision: Precision) -> Tensor<B, 2> {
        let Heads {
            queries,
            keys,
            head_dim,
        } = attention.heads;
        let [tokens, _] = attention.q.dims();
        let [length, _] = attention.tables.cos.dims();
        let batch = tokens / length;
        let split = |x: Tensor<B, 2>, heads| {
            x.reshape([batch, length, heads, head_dim]).swap_dims(1, 2) // [batch, heads, length, head_dim]
        };
        let rotated = |x| rotate(x, &attention.tables.cos, &attention.tables.sin);
        let q = rotated(split(attention.q, queries));
        let k = rotated(split(attention.k, keys));
        let v = split(attention.v, keys);
        // Query heads that share a key head are stacked along the query axis, so that no key is repeated.
        let stacked = queries / keys * length;
        let q = q.reshape([batch, keys, stacked, head_dim]);
        let scale = 1.0 / (head_dim as f64).sqrt();
        let scores = precision.matmul(q * scale, k.transpose()); // [batch, keys, stacked, length]
        let scores = scores.reshape([batch, queries, length, length]);
        let later = attention.tables.later;
        let later = later.unwrap_or_else(|| Tensor::tril_mask([length; 2], 0, &scores.device()));
        let later = later.reshape([1, 1, length, length]);
        let later = later.expand([batch, queries, length, length]);
        let weights = softmax(scores.mask_fill(later, f32::NEG_INFINITY), 3);
        let weights = weights.reshape([batch, keys, stacked, length]);
        let mixed = precision.matmul(weights, v);
        let mixed = mixed.reshape([batch, queries, length, head_dim]);
        mixed.swap_dims(1, 2).reshape([tokens, queries * head_dim])
    }
}

/// Rotary position embedding: rotates each head of `x: [batch, heads, length, head_dim]` by the angles of its position.
///
/// `cos` and `sin` are the cosines and sines of the angles, `[length, head_dim / 2]`. The pair
/// `(x_i, x_{i + head_dim / 2})` of a head is rotated by the `i`-th angle of its position, as in Hugging Face's LLaMA.
///
/// # Panics
///
/// If the shapes do not match.
pub fn rotate<B: Backend>(x: Tensor<B, 4>, cos: &Tensor<B, 2>, sin: &Tensor<B, 2>) -> Tensor<B, 4> {
    let [batch, heads, length, head_dim] = x.dims();
    let half = head_dim / 2;
    let table = |table: &Tensor<B, 2>| table.clone().reshape([1, 1, length, half]);
    let (cos, sin) = (table(cos), table(sin));
    let part = |from, to| x.clone().slice([0..batch, 0..heads, 0..length, from..to]);
    let (left, right) = (part(0, half), part(half, head_dim)); // [batch, heads, length, head_dim / 2]
    let rotated = left.clone() * cos.clone() - right.clone() * sin.clone();
    Tensor::cat(vec![rotated, right * cos + left * sin], 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use burn_ndarray::NdArray;

    #[test]
    fn the_product_of_two_rotated_vectors_depends_on_their_distance_only() {
        let device = Default::default();
        let angles: Vec<f32> = (0..9 * 3)
            .map(|i| (i / 3) as f32 * [1.0, 0.2, 0.04][i % 3])
            .collect();
        let angles = Tensor::<NdArray, 2>::from_data(TensorData::new(angles, [9, 3]), &device);
        let vector = |values: [f32; 6]| Tensor::<NdArray, 1>::from_floats(values, &device);
        let everywhere = |v: Tensor<NdArray, 1>| {
            let rows = v.reshape([1, 1, 1, 6]).repeat_dim(2, 9); // [1, 1, positions, head_dim]
            rotate(rows, &angles.clone().cos(), &angles.clone().sin()).reshape([9, 6])
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
