//! Linear layers of one input, with and without LoRA factors, in the order of products that takes fewer multiply-adds.
//!
//! For `t` tokens, `n` inputs, `m` outputs and rank `r`, the effective weight `W + s AᵀB` takes `n m r`. It replaces narrow
//! products that take `t r (n + m)` in the forward and `t r n` in the backward, where the other narrow product is needed anyway
//! for the gradient of A. The backward computes the effective weight again, so that the graph keeps no more than for a layer
//! without adapter.
//!
//! In bf16 the effective weight is never used: products take little time compared with computing and rounding it.
//!
//! Each direction has two stages: products of the factors, and products that use those. The products of all projections in one
//! stage are computed together.

mod backward;
mod layer;

use super::matrix::Matrix;
use super::product::{Multiplier, Product};
use super::slices::{contiguous, fresh, matrix};
use crate::kernels::{Kernels, ProjectionsBackward};
use crate::operations::Projections;
use crate::{Precision, Projection};
use backward::Backward;
use burn::tensor::Tensor;
use burn_flex::Flex;
use layer::Layer;

impl Projections<Flex> for Kernels {
    fn projections(
        &self,
        x: Tensor<Flex, 2>,
        projections: Vec<Projection<Flex>>,
        precision: Precision,
    ) -> Vec<Tensor<Flex, 2>> {
        let x = contiguous(x);
        let x = matrix(&x);
        let layers = layers(projections, precision);
        let made = layers.iter().map(|layer| {
            let factors = layer.factors.as_ref()?;
            Some(match layer.is_effective_forward(x.rows) {
                true => factors.effective(layer.weight()),
                false => factors.narrow(x, factors.a()),
            })
        });
        let multiplier = multiplier(&layers, precision, &[x], &[]);
        let made = multiplier.computed(made.collect());
        let outputs = layers.iter().zip(&made).map(|(layer, made)| {
            let (made, factors) = match (made, &layer.factors) {
                (Some(made), Some(factors)) => (made, factors),
                _ => return Product::new(x, layer.weight(), 1.0),
            };
            match layer.is_effective_forward(x.rows) {
                true => Product::new(x, layer.like_weight(made), 1.0),
                false => {
                    let narrow = Matrix::new(made, x.rows, factors.rank());
                    Product::new(x, layer.weight(), 1.0).plus(narrow, factors.b(), 1.0)
                }
            }
        });
        let outputs = multiplier.computed(outputs.map(Some).collect());
        let outputs = outputs.into_iter().flatten().zip(&layers);
        outputs
            .map(|(y, layer)| fresh(y, [x.rows, layer.m()]))
            .collect()
    }
}

impl ProjectionsBackward<Flex> for Kernels {
    /// `dx = Σ dy (W + s AᵀB)ᵀ`, `dW = xᵀ dy`, `dA = s (dy Bᵀ)ᵀ x`, `dB = s (x Aᵀ)ᵀ dy`.
    fn projections_backward(
        &self,
        x: Tensor<Flex, 2>,
        projections: Vec<Projection<Flex>>,
        dy: Vec<Option<Tensor<Flex, 2>>>,
        wanted: &[bool],
        precision: Precision,
    ) -> Vec<Option<Tensor<Flex, 2>>> {
        let (x, of_x) = (contiguous(x), wanted[0]);
        let x = matrix(&x);
        let layers = layers(projections, precision);
        let dy: Vec<_> = dy.into_iter().map(|dy| dy.map(contiguous)).collect();
        let mut wanted = wanted[1..].iter().copied();
        let backwards: Vec<_> = layers
            .iter()
            .zip(&dy)
            .map(|(layer, dy)| Backward {
                layer,
                dy: dy.as_ref().map(matrix),
                of_x,
                wanted: layer
                    .shapes()
                    .map(|shape| shape.is_some() && wanted.next() == Some(true)),
            })
            .collect();
        let both: Vec<_> = backwards.iter().filter_map(|b| b.dy).chain([x]).collect();
        let multiplier = multiplier(&layers, precision, &both, &both);
        let made = backwards.iter().flat_map(|b| b.first_stage(x));
        let made = multiplier.computed(made.collect());
        let made: Vec<_> = backwards.iter().zip(made.chunks(3)).collect();

        let terms = made.iter().flat_map(|(b, made)| b.terms_of_x(made));
        let dx = terms.fold(None, |sum: Option<Product<'_>>, (left, right)| {
            Some(match sum {
                Some(sum) => sum.plus(left, right, 1.0),
                None => Product::new(left, right, 1.0),
            })
        });
        let others = made.iter().flat_map(|(b, made)| b.second_stage(x, made));
        let gradients = multiplier.computed(std::iter::once(dx).chain(others).collect());

        let shapes = layers.iter().flat_map(Layer::shapes);
        let shapes = std::iter::once(Some([x.rows, x.columns])).chain(shapes);
        // A full weight has one gradient, an adapted one two.
        let parameters = gradients.into_iter().zip(shapes);
        let parameters = parameters.filter_map(|(gradient, shape)| Some((gradient, shape?)));
        parameters
            .map(|(gradient, shape)| Some(fresh(gradient?, shape)))
            .collect()
    }
}

fn layers(projections: Vec<Projection<Flex>>, precision: Precision) -> Vec<Layer> {
    let projections = projections.into_iter();
    projections
        .map(|projection| Layer::new(projection, precision))
        .collect()
}

/// The multiplier of both stages. With factors there are two stages, and it keeps the operands that both have.
fn multiplier<'a>(
    layers: &[Layer],
    precision: Precision,
    left: &[Matrix<'a>],
    right: &[Matrix<'a>],
) -> Multiplier<'a> {
    match layers.iter().any(|layer| layer.factors.is_some()) {
        true => Multiplier::keeping(precision, left, right),
        false => Multiplier::new(precision),
    }
}
