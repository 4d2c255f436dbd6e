//! Linear layers of one input, with and without LoRA factors, in the order of Burn's products that takes fewer multiply-adds.
//!
//! For `t` tokens, `n` inputs, `m` outputs and rank `r`, the effective weight `W + s AᵀB` takes `n m r`. It replaces narrow
//! products that take `t r (n + m)` in the forward and `t r n` in the backward, where the other narrow product is needed anyway
//! for the gradient of A. The backward computes the effective weight again. In bf16 it is computed in f32 and rounded once. This
//! file has no kernel of its own.

use super::launch::Launch;
use super::product::product;
use crate::kernels::{Kernels, ProjectionsBackward};
use crate::operations::Projections;
use crate::{Adapter, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

impl<B: Launch> Projections<B> for Kernels {
    fn projections(
        &self,
        x: Tensor<B, 2>,
        projections: Vec<Projection<B>>,
        precision: Precision,
    ) -> Vec<Tensor<B, 2>> {
        forward(x, projections, precision, &product)
    }
}

impl<B: Launch> ProjectionsBackward<B> for Kernels {
    fn projections_backward(
        &self,
        x: Tensor<B, 2>,
        projections: Vec<Projection<B>>,
        dy: Vec<Option<Tensor<B, 2>>>,
        wanted: &[bool],
        precision: Precision,
    ) -> Vec<Option<Tensor<B, 2>>> {
        backward(x, projections, dy, wanted, precision, &product)
    }
}

/// The product of operands in the dtype of products, in f32.
pub(super) type Product<B> = dyn Fn(Tensor<B, 2>, Tensor<B, 2>) -> Tensor<B, 2>;

/// On any backend, so that a CPU can test it.
pub(super) fn forward<B: Backend>(
    x: Tensor<B, 2>,
    projections: Vec<Projection<B>>,
    precision: Precision,
    product: &Product<B>,
) -> Vec<Tensor<B, 2>> {
    let x = precision.round(x);
    let outputs = projections.into_iter().map(|projection| {
        let layer = Layer::new(projection, precision, product);
        let [n, m] = layer.weight.dims();
        let through = |weight: Tensor<B, 2>| product(x.clone(), weight);
        match &layer.factors {
            None => through(precision.round(layer.weight)),
            Some(factors) if x.dims()[0] * (n + m) > n * m => {
                through(precision.round(factors.effective(layer.weight)))
            }
            Some(factors) => {
                let narrow = precision.round(factors.narrow(&x, &factors.a)); // [tokens, rank]
                let narrow = product(narrow, factors.b.clone());
                through(precision.round(layer.weight)) + narrow
            }
        }
    });
    outputs.collect()
}

/// `dx = Σ dy (W + s AᵀB)ᵀ`, `dW = xᵀ dy`, `dA = s (dy Bᵀ)ᵀ x`, `dB = s (x Aᵀ)ᵀ dy`. On any backend, so that a CPU can test it.
pub(super) fn backward<B: Backend>(
    x: Tensor<B, 2>,
    projections: Vec<Projection<B>>,
    dy: Vec<Option<Tensor<B, 2>>>,
    wanted: &[bool],
    precision: Precision,
    product: &Product<B>,
) -> Vec<Option<Tensor<B, 2>>> {
    let x = precision.round(x);
    let (of_x, mut wanted) = (wanted[0], wanted[1..].iter().copied());
    let mut dx: Option<Tensor<B, 2>> = None;
    let mut gradients = vec![];
    for (projection, dy) in projections.into_iter().zip(dy) {
        let layer = Layer::new(projection, precision, product);
        let parameters = if layer.factors.is_some() { 2 } else { 1 };
        let wanted: Vec<bool> = wanted.by_ref().take(parameters).collect();
        let Some(dy) = dy else {
            gradients.extend(wanted.iter().map(|_| None));
            continue;
        };
        let dy = precision.round(dy);
        let [_, m] = layer.weight.dims();
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
    std::iter::once(dx).chain(gradients).collect()
}

/// The tensors of a projection, the factors in the dtype of products.
struct Layer<'a, B: Backend> {
    weight: Tensor<B, 2>,
    factors: Option<Factors<'a, B>>,
}

impl<'a, B: Backend> Layer<'a, B> {
    fn new(projection: Projection<B>, precision: Precision, product: &'a Product<B>) -> Self {
        let Projection { weight, adapter } = projection;
        let factors = adapter.map(|Adapter { a, b, scale }| Factors {
            a: precision.round(a),
            b: precision.round(b),
            scale,
            precision,
            product,
        });
        // A frozen weight may have another dtype.
        let weight = match precision {
            Precision::F32 if weight.dtype() != DType::F32 => weight.cast(DType::F32),
            _ => weight,
        };
        Self { weight, factors }
    }
}

/// The LoRA factors in the dtype of products.
struct Factors<'a, B: Backend> {
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    scale: f64,
    precision: Precision,
    product: &'a Product<B>,
}

impl<B: Backend> Factors<'_, B> {
    /// `W + s AᵀB`, in f32.
    fn effective(&self, weight: Tensor<B, 2>) -> Tensor<B, 2> {
        let product = (self.product)(self.a.clone().transpose(), self.b.clone());
        product * self.scale + self.precision.widen(weight)
    }

    /// `s rows factorᵀ`, `[tokens, rank]`, in f32.
    fn narrow(&self, rows: &Tensor<B, 2>, factor: &Tensor<B, 2>) -> Tensor<B, 2> {
        (self.product)(rows.clone(), factor.clone().transpose()) * self.scale
    }
}
