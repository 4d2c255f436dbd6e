//! Linear maps of one input, with and without factors of low rank, of burn's products, by whichever way takes fewer
//! multiply-adds.
//!
//! For `t` tokens, `n` inputs, `m` outputs and rank `r`: the effective weight `W + s AᵀB` takes `n m r` to make, and the
//! narrow products that it replaces `t r (n + m)` in the forward and `t r n` in the backward, where the other narrow
//! product is needed anyway for the gradient of A. It is made again in the backward rather than kept. With bf16 it is made in f32
//! and rounded once.

use super::launch::Launch;
use crate::Precision;
use crate::kernels::ProjectionInputs;
use crate::primitive::{primitive, tensor};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Tensor};

/// The outputs.
pub(super) fn forward<B: Launch>(
    x: &FloatTensor<B>,
    projections: &[ProjectionInputs<B>],
    precision: Precision,
) -> Vec<FloatTensor<B>> {
    let x: Tensor<B, 2> = precision.round(tensor(x.clone()));
    let outputs = projections.iter().map(|inputs| {
        let layer = Layer::new(inputs, precision);
        let (n, m) = layer.inputs_and_outputs();
        let through = |weight: Tensor<B, 2>| precision.widen(x.clone().matmul(weight));
        match &layer.factors {
            None => through(precision.round(layer.weight)),
            Some(factors) if x.dims()[0] * (n + m) > n * m => {
                through(precision.round(factors.effective(layer.weight)))
            }
            Some(factors) => {
                let narrow = precision.round(factors.narrow(&x, &factors.a));
                let narrow = precision.widen(narrow.matmul(factors.b.clone()));
                through(precision.round(layer.weight)) + narrow
            }
        }
    });
    outputs.map(primitive).collect()
}

/// The gradients that are wanted, of `x` and then of each projection's weight, or of its A and B:
/// `dx = Σ dy (W + s AᵀB)ᵀ`, `dW = xᵀ dy`, `dA = s (dy Bᵀ)ᵀ x`, `dB = s (x Aᵀ)ᵀ dy`.
pub(super) fn backward<B: Launch>(
    x: &FloatTensor<B>,
    projections: &[ProjectionInputs<B>],
    dy: &[Option<FloatTensor<B>>],
    wanted: &[bool],
    precision: Precision,
) -> Vec<Option<FloatTensor<B>>> {
    let x: Tensor<B, 2> = precision.round(tensor(x.clone()));
    let (of_x, mut wanted) = (wanted[0], wanted[1..].iter().copied());
    let mut dx: Option<Tensor<B, 2>> = None;
    let mut gradients = vec![];
    let product = |left: Tensor<B, 2>, right: Tensor<B, 2>| precision.widen(left.matmul(right));
    for (inputs, dy) in projections.iter().zip(dy) {
        let layer = Layer::new(inputs, precision);
        let parameters = if layer.factors.is_some() { 2 } else { 1 };
        let wanted: Vec<bool> = wanted.by_ref().take(parameters).collect();
        let Some(dy) = dy else {
            gradients.extend(wanted.iter().map(|_| None));
            continue;
        };
        let dy: Tensor<B, 2> = precision.round(tensor(dy.clone()));
        let (_, m) = layer.inputs_and_outputs();
        let through_factors = of_x && x.dims()[0] <= m;
        let mut add_to_dx = |term: Tensor<B, 2>| {
            dx = Some(match dx.take() {
                Some(sum) => sum + term,
                None => term,
            });
        };
        let Some(factors) = &layer.factors else {
            if of_x {
                let weight = precision.round(layer.weight);
                add_to_dx(product(dy.clone(), weight.transpose()));
            }
            gradients.push(wanted[0].then(|| product(x.clone().transpose(), dy)));
            continue;
        };
        let narrow = (wanted[0] || through_factors)
            .then(|| precision.round(factors.narrow(&dy, &factors.b))); // [tokens, rank]
        match &narrow {
            Some(narrow) if through_factors => {
                let weight = precision.round(layer.weight);
                add_to_dx(product(dy.clone(), weight.transpose()));
                add_to_dx(product(narrow.clone(), factors.a.clone()));
            }
            _ if of_x => {
                let effective = precision.round(factors.effective(layer.weight));
                add_to_dx(product(dy.clone(), effective.transpose()));
            }
            _ => {}
        }
        let narrow = narrow.filter(|_| wanted[0]);
        gradients.push(narrow.map(|narrow| product(narrow.transpose(), x.clone())));
        gradients.push(wanted[1].then(|| {
            let narrow = precision.round(factors.narrow(&x, &factors.a));
            product(narrow.transpose(), dy)
        }));
    }
    let gradients = std::iter::once(dx).chain(gradients);
    gradients.map(|gradient| gradient.map(primitive)).collect()
}

/// The tensors of a projection.
struct Layer<B: Launch> {
    weight: Tensor<B, 2>,
    factors: Option<Factors<B>>,
}

impl<B: Launch> Layer<B> {
    fn new(inputs: &ProjectionInputs<B>, precision: Precision) -> Self {
        let factors = inputs.adapter.as_ref().map(|adapter| Factors {
            a: precision.round(tensor(adapter.a.clone())),
            b: precision.round(tensor(adapter.b.clone())),
            scale: adapter.scale,
            precision,
        });
        let weight: Tensor<B, 2> = tensor(inputs.weight.clone());
        // What is frozen may rest in another type.
        let weight = match precision {
            Precision::F32 if weight.dtype() != DType::F32 => weight.cast(DType::F32),
            _ => weight,
        };
        Self { weight, factors }
    }

    fn inputs_and_outputs(&self) -> (usize, usize) {
        let [n, m] = self.weight.dims();
        (n, m)
    }
}

/// The factors, as products take them.
struct Factors<B: Launch> {
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    scale: f64,
    precision: Precision,
}

impl<B: Launch> Factors<B> {
    /// `W + s AᵀB`, in f32.
    fn effective(&self, weight: Tensor<B, 2>) -> Tensor<B, 2> {
        let product = self.a.clone().transpose().matmul(self.b.clone());
        self.precision.widen(product) * self.scale + self.precision.widen(weight)
    }

    /// `s` times the products of `rows` with those of a factor, `[tokens, rank]`, in f32.
    fn narrow(&self, rows: &Tensor<B, 2>, factor: &Tensor<B, 2>) -> Tensor<B, 2> {
        let narrow = rows.clone().matmul(factor.clone().transpose());
        self.precision.widen(narrow) * self.scale
    }
}
