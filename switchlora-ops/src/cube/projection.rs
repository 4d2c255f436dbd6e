//! Linear maps of one input, with and without factors of low rank, of burn's products, by whichever way takes fewer
//! multiply-adds.
//!
//! For `t` tokens, `n` inputs, `m` outputs and rank `r`: the effective weight `W + s AᵀB` takes `n m r` to make, and the
//! narrow products that it replaces `t r (n + m)` in the forward and `t r n` in the backward, where the other narrow
//! product is needed anyway for the gradient of A. It is made again in the backward rather than kept. With bf16 it is made in f32
//! and rounded once. Nothing here is a kernel: fusion joins what is added and scaled with the products.

use crate::Precision;
use crate::kernels::ProjectionInputs;
use crate::primitive::{primitive, tensor};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Tensor};

/// The outputs.
pub(super) fn forward<B: Backend>(
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
pub(super) fn backward<B: Backend>(
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
struct Layer<B: Backend> {
    weight: Tensor<B, 2>,
    factors: Option<Factors<B>>,
}

impl<B: Backend> Layer<B> {
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
struct Factors<B: Backend> {
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    scale: f64,
    precision: Precision,
}

impl<B: Backend> Factors<B> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradients::{close, numbers, put};
    use crate::kernels::AdapterInputs;
    use crate::operations::Operations;
    use crate::plain::Plain;
    use crate::{Adapter, Projection};
    use burn::backend::Autodiff;
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

    fn numbers_of<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
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
        let outputs = Plain(precision).projections(x, projections.collect());
        let loss = outputs.iter().enumerate().map(|(i, y)| {
            let dy = numbers(9, i, y.dims());
            (y.clone() * put(dy, y.dims(), DType::F32)).sum()
        });
        let gradients = loss.reduce(|sum, term| sum + term).unwrap().backward();
        let outputs = outputs.into_iter().map(|y| numbers_of(y.inner()));
        let gradients = trained
            .iter()
            .map(|tensor| numbers_of(tensor.grad(&gradients).unwrap()));
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
        let x = primitive(x);
        let inputs = projections.into_iter().map(|projection| ProjectionInputs {
            weight: primitive(projection.weight),
            adapter: projection.adapter.map(|adapter| AdapterInputs {
                a: primitive(adapter.a),
                b: primitive(adapter.b),
                scale: adapter.scale,
            }),
        });
        let inputs: Vec<ProjectionInputs<B>> = inputs.collect();
        let outputs = forward::<B>(&x, &inputs, precision)
            .into_iter()
            .map(tensor::<B, 2>);
        let outputs: Vec<_> = outputs.collect();
        let dy = outputs.iter().enumerate().map(|(i, y)| {
            let dy = put::<B>(numbers(9, i, y.dims()), y.dims(), DType::F32);
            Some(primitive(dy))
        });
        let dy: Vec<_> = dy.collect();
        let wanted = vec![true; 1 + 2 * inputs.len()];
        let gradients = backward::<B>(&x, &inputs, &dy, &wanted, precision)
            .into_iter()
            .flatten();
        let gradients = gradients.map(|gradient| numbers_of(tensor::<B, 2>(gradient)));
        outputs
            .into_iter()
            .map(numbers_of)
            .chain(gradients)
            .collect()
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
}
