//! The operations composed of tensor operations: any backend, any type of numbers, autodiff's own gradients.

use crate::operations::Operations;
use crate::rows::runs;
use crate::{AdamWRows, Adapter, Attention, Heads, Moments, Precision, Projection};
use burn::tensor::activation::{log_softmax, silu, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::module::{embedding, linear};
use burn::tensor::{DType, Int, Tensor, TensorData};

/// Composed, with products in a precision.
pub(crate) struct Plain(pub Precision);

impl<B: Backend> Operations<B> for Plain {
    fn embedding(&self, weight: Tensor<B, 2>, tokens: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        embedding(weight, tokens.unsqueeze_dim(0)).flatten(0, 1)
    }

    fn rms_norm(&self, x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
        let dtype = x.dtype();
        // In f64 on a CPU, which keeps the rounding of a long chain of gradients out of comparisons between backends.
        let backend = B::name(&x.device());
        let x = match backend.contains("flex") || backend.contains("ndarray") {
            true => x.cast(DType::F64),
            false => x,
        };
        let mean = (x.clone() * x.clone()).mean_dim(1); // [tokens, 1]
        let root = (mean + epsilon).sqrt();
        (x / root).cast(dtype) * weight.unsqueeze()
    }

    fn swiglu(&self, gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
        silu(gate) * up
    }

    fn causal_attention(&self, attention: Attention<B>) -> Tensor<B, 2> {
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
        // Query heads that share a key head are stacked along its queries, so that nothing is repeated.
        let stacked = queries / keys * length;
        let q = q.reshape([batch, keys, stacked, head_dim]);
        let scale = 1.0 / (head_dim as f64).sqrt();
        let scores = self.0.matmul(q * scale, k.transpose()); // [batch, keys, stacked, length]
        let scores = scores.reshape([batch, queries, length, length]);
        let later = attention.tables.later;
        let later = later.unwrap_or_else(|| Tensor::tril_mask([length; 2], 0, &scores.device()));
        let later = later.reshape([1, 1, length, length]);
        let later = later.expand([batch, queries, length, length]);
        let weights = softmax(scores.mask_fill(later, f32::NEG_INFINITY), 3);
        let weights = weights.reshape([batch, keys, stacked, length]);
        let mixed = self.0.matmul(weights, v);
        let mixed = mixed.reshape([batch, queries, length, head_dim]);
        mixed.swap_dims(1, 2).reshape([tokens, queries * head_dim])
    }

    fn linear_cross_entropy(
        &self,
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
    ) -> Tensor<B, 1> {
        let head = Projection {
            weight,
            adapter: None,
        };
        let logits = self.project(self.0.round(hidden), head); // [tokens, vocabulary]
        let targets = targets.unsqueeze_dim(1);
        log_softmax(logits, 1).gather(1, targets).mean().neg()
    }

    fn projections(&self, x: Tensor<B, 2>, projections: Vec<Projection<B>>) -> Vec<Tensor<B, 2>> {
        let x = self.0.round(x);
        let outputs = projections
            .into_iter()
            .map(|projection| self.project(x.clone(), projection));
        outputs.collect()
    }

    fn adamw(
        &self,
        parameter: Tensor<B, 2>,
        gradient: Tensor<B, 2>,
        moments: Option<Moments<B>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<B, 1>>,
    ) -> (Tensor<B, 2>, Moments<B>) {
        if let Some(verdict) = verdict {
            return self.judged(parameter, gradient, moments, rows, verdict);
        }
        let gradient = match rows.gradient_scale {
            1.0 => gradient,
            scale => gradient * scale,
        };
        let gradient = zero_rows(gradient, &rows.frozen);
        let (new, square) = (1.0 - rows.beta_1, 1.0 - rows.beta_2);
        let (first, second) = (gradient.clone() * new, gradient.clone() * gradient * square);
        let moments = match moments {
            Some(moments) => Moments {
                first: zero_rows(moments.first, &rows.reset) * rows.beta_1 + first,
                second: zero_rows(moments.second, &rows.reset) * rows.beta_2 + second,
            },
            None => Moments { first, second },
        };
        let root = moments.second.clone().sqrt();
        let root = match &rows.epsilons[..] {
            [one] => root + *one,
            each => root + column(each, &parameter),
        };
        let change = times(moments.first.clone(), &rows.rates, &parameter) / root;
        let remaining = match &rows.remaining[..] {
            [1.0] => parameter,
            remaining => times(parameter.clone(), remaining, &parameter),
        };
        (remaining - change, moments)
    }

    fn gather_rows(&self, matrix: &Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
        let columns = matrix.dims()[1];
        let slice = |(start, count)| matrix.clone().slice([start..start + count, 0..columns]);
        Tensor::cat(runs(rows).into_iter().map(slice).collect(), 0)
    }

    fn scatter_rows(
        &self,
        mut matrix: Tensor<B, 2>,
        rows: &[usize],
        values: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let columns = matrix.dims()[1];
        let mut taken = 0;
        for (start, count) in runs(rows) {
            let values = values.clone().slice([taken..taken + count, 0..columns]);
            matrix = matrix.slice_assign([start..start + count, 0..columns], values);
            taken += count;
        }
        matrix
    }

    fn sum_of_squares(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
        // Row by row: a backend may split the sum of one long row among threads as they happen to be free, and two runs
        // would differ in the last digit.
        (x.clone() * x).sum_dim(1).sum()
    }

    fn add_product(
        &self,
        weight: Tensor<B, 2>,
        left: Tensor<B, 2>,
        right: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let (rests_in, dtype) = (weight.dtype(), left.dtype());
        let product = left.transpose().matmul(right);
        match rests_in == dtype {
            true => weight + product,
            false => (weight.cast(dtype) + product).cast(rests_in),
        }
    }
}

impl Plain {
    /// AdamW, and of each of its results what it was before if `verdict` refuses the update.
    fn judged<B: Backend>(
        &self,
        parameter: Tensor<B, 2>,
        gradient: Tensor<B, 2>,
        moments: Option<Moments<B>>,
        rows: &AdamWRows,
        verdict: Tensor<B, 1>,
    ) -> (Tensor<B, 2>, Moments<B>) {
        let accept = verdict.clone().greater_equal_elem(0.0).reshape([1, 1]);
        let choose = |old: Tensor<B, 2>, new: Tensor<B, 2>| {
            old.mask_where(accept.clone().expand(new.dims()), new)
        };
        let (old, kept) = (parameter.clone(), moments.clone());
        let gradient = gradient * verdict.reshape([1, 1]);
        let (parameter, moments) = self.adamw(parameter, gradient, moments, rows, None);
        let kept = kept.unwrap_or_else(|| {
            // Refused at its first update, a parameter is left with moments of zero, which are those of no update.
            let zeros = moments.first.zeros_like();
            Moments {
                first: zeros.clone(),
                second: zeros,
            }
        });
        let moments = Moments {
            first: choose(kept.first, moments.first),
            second: choose(kept.second, moments.second),
        };
        (choose(old, parameter), moments)
    }

    /// One projection of an `x` that is rounded already.
    fn project<B: Backend>(&self, x: Tensor<B, 2>, projection: Projection<B>) -> Tensor<B, 2> {
        let weight = match &projection.adapter {
            // What is frozen may rest in another type.
            Some(_) => projection.weight.cast(x.dtype()),
            None => self.0.round(projection.weight),
        };
        let base = self.0.widen(linear(x.clone(), weight, None));
        let Some(Adapter { a, b, scale }) = projection.adapter else {
            return base;
        };
        // Scaling the narrow product is `rank / d_output` of the work of scaling the wide one.
        let narrow = linear(x, self.0.round(a.transpose()), None) * scale;
        base + self.0.widen(linear(narrow, self.0.round(b), None))
    }
}

/// Rotates the heads of `[batch, heads, length, head_dim]` by angles with these cosines and sines, `[length, head_dim / 2]`.
///
/// The pair `(x_i, x_{i + head_dim / 2})` of a head is rotated by the `i`-th angle of its position, as in Hugging Face's LLaMA.
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

/// `matrix` with the given rows zero.
fn zero_rows<B: Backend>(matrix: Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
    if rows.is_empty() {
        return matrix;
    }
    let like = (&matrix.device(), matrix.dtype());
    let zeros = Tensor::zeros([rows.len(), matrix.dims()[1]], like);
    crate::scatter_rows(matrix, rows, zeros)
}

/// One number for each row, `[rows, 1]`, where `beside` is.
fn column<B: Backend>(values: &[f32], beside: &Tensor<B, 2>) -> Tensor<B, 2> {
    let data = TensorData::new(values.to_vec(), [values.len(), 1]);
    Tensor::from_data(data, (&beside.device(), beside.dtype()))
}

/// `matrix` times one number, or one for each row.
fn times<B: Backend>(matrix: Tensor<B, 2>, by: &[f32], beside: &Tensor<B, 2>) -> Tensor<B, 2> {
    match by {
        [one] => matrix * *one,
        each => matrix * column(each, beside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
