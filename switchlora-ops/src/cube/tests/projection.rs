//! Projections by hand on CPU backends: forward and backward use no kernel.

use crate::check::computed::PLAIN;
use crate::check::numbers::{numbers, put, values};
use crate::cube::projection::{backward, forward};
use crate::operations::Projections;
use crate::tests::close::close;
use crate::{Adapter, Precision, Projection};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use burn_ndarray::NdArray;
use proptest::prelude::*;

/// Tensors of `tokens` and of layers of `n` inputs with the given outputs and ranks, rank 0 for a full weight.
fn inputs<B: Backend>(
    tokens: usize,
    n: usize,
    layers: &[(usize, usize)],
) -> (Tensor<B, 2>, Vec<Projection<B>>) {
    let put = |stream, shape| put::<B>(numbers(7, stream, shape), shape, DType::F32);
    let layer = |(i, &(m, rank)): (usize, &(usize, usize))| Projection {
        weight: put(3 * i + 1, [n, m]),
        adapter: (rank > 0).then(|| Adapter {
            a: put(3 * i + 2, [rank, n]),
            b: put(3 * i + 3, [rank, m]),
            scale: 0.3,
        }),
    };
    let layers = layers.iter().enumerate().map(layer);
    (put(0, [tokens, n]), layers.collect())
}

/// Outputs and then gradients, by autodiff over the composed form.
fn expected<B: Backend>(
    tokens: usize,
    n: usize,
    layers: &[(usize, usize)],
    precision: Precision,
) -> Vec<Vec<f64>> {
    let (x, projections) = inputs::<Autodiff<B>>(tokens, n, layers);
    let x = x.require_grad();
    let mut trained = vec![x.clone()];
    let mut train = |tensor: Tensor<Autodiff<B>, 2>| {
        let tensor = tensor.require_grad();
        trained.push(tensor.clone());
        tensor
    };
    let projections = projections
        .into_iter()
        .map(|projection| match projection.adapter {
            Some(Adapter { a, b, scale }) => Projection {
                adapter: Some(Adapter {
                    a: train(a),
                    b: train(b),
                    scale,
                }),
                ..projection
            },
            None => Projection {
                weight: train(projection.weight),
                adapter: None,
            },
        });
    let outputs = PLAIN.projections(x, projections.collect(), precision);
    let loss = outputs.iter().enumerate().map(|(i, y)| {
        let dy = numbers(9, i, y.dims());
        (y.clone() * put(dy, y.dims(), DType::F32)).sum()
    });
    let gradients = loss.reduce(|sum, term| sum + term).unwrap().backward();
    let outputs = outputs.into_iter().map(|y| values(y.inner()));
    let gradients = trained
        .iter()
        .map(|tensor| values(tensor.grad(&gradients).unwrap()));
    outputs.chain(gradients).collect()
}

/// The same by hand.
fn found<B: Backend>(
    tokens: usize,
    n: usize,
    layers: &[(usize, usize)],
    precision: Precision,
) -> Vec<Vec<f64>> {
    let (x, projections) = inputs::<B>(tokens, n, layers);
    let product =
        move |left: Tensor<B, 2>, right: Tensor<B, 2>| precision.widen(left.matmul(right));
    let outputs = forward(x.clone(), projections.clone(), precision, &product);
    let dy = outputs.iter().enumerate();
    let dy = dy.map(|(i, y)| Some(put(numbers(9, i, y.dims()), y.dims(), DType::F32)));
    let wanted = vec![true; 1 + 2 * projections.len()];
    let gradients = backward(x, projections, dy.collect(), &wanted, precision, &product);
    let gradients = gradients.into_iter().flatten();
    outputs.into_iter().chain(gradients).map(values).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn projections_by_hand_are_those_of_autodiff(
        tokens in 1usize..90, n in 1usize..60,
        layers in proptest::collection::vec((1usize..60, 0usize..20), 1..4),
    ) {
        let expected = expected::<NdArray>(tokens, n, &layers, Precision::F32);
        let found = found::<NdArray>(tokens, n, &layers, Precision::F32);
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            // Sums of some dozen products of sums, in f32.
            close(found, expected, 2e-5)?;
        }
    }
}

#[cfg(feature = "flex")]
#[test]
fn projections_by_hand_in_bf16_are_those_of_autodiff_but_for_its_rounding() {
    for tokens in [3, 80] {
        let layers = [(30, 4), (20, 0), (7, 3)];
        let expected = expected::<burn_flex::Flex>(tokens, 24, &layers, Precision::Bf16);
        let found = found::<burn_flex::Flex>(tokens, 24, &layers, Precision::Bf16);
        for (found, expected) in found.iter().zip(&expected) {
            // Two or three roundings to 8 bits of mantissa, each 2^-9 of its number.
            close(found, expected, 1e-2).unwrap();
        }
    }
}
