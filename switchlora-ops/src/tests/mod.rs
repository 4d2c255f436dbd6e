//! Values and gradients of every operation on random inputs: each backend in f32 and bf16 compared with f64, and f64 compared
//! with finite differences.

pub(crate) mod close;
#[cfg(feature = "flex")]
mod layouts;
mod shapes;

use crate::check::case::Case;
use crate::check::computed::{PLAIN, exactly, here, put_like};
use crate::check::numbers::{numbers, put};
use crate::{Adapter, Heads, Precision, Projection};
use burn::backend::Autodiff;
use burn::tensor::DType;
use burn::tensor::backend::AutodiffBackend;
use burn_ndarray::NdArray;
#[cfg(feature = "flex")]
use close::{by_kernels, same_but_rounded};
use close::{close, same};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// Compares every way to compute `case` with f64, and f64 with finite differences.
fn check(case: Case, seed: u64) -> TestCaseResult {
    let exact = exactly(case, seed);
    let same = |found| same(case, found, &exact);
    same(here::<Autodiff<NdArray>>(case, seed, Precision::F32))?;
    #[cfg(feature = "flex")]
    {
        by_kernels::<burn_flex::Flex>(case, seed, same)?;
        let found = here::<Autodiff<burn_flex::Flex>>(case, seed, Precision::Bf16);
        same_but_rounded(case, found, &exact)?;
    }
    differences(case, seed, &exact)
}

/// Compares the gradients in f64 with the difference along a random direction of all inputs together.
fn differences(case: Case, seed: u64, exact: &[Vec<f64>]) -> TestCaseResult {
    // Burn computes the logistic function in f32, whatever the dtype of its input.
    let (width, tolerance) = match case {
        Case::SwiGlu { .. } => (1e-2, 1e-3),
        _ => (1e-5, 1e-6),
    };
    let (trained, frozen) = case.shapes();
    let loss = |step: f64| {
        let moved = trained.iter().enumerate().map(|(i, shape)| {
            let direction = numbers(seed, i + 50, *shape);
            let values = numbers(seed, i, *shape).into_iter().zip(direction);
            put(
                values.map(|(x, d)| x + step * d).collect(),
                *shape,
                DType::F64,
            )
        });
        let still = frozen.iter().enumerate();
        let still = still.map(|(i, shape)| put(numbers(seed, i + 7, *shape), *shape, DType::F64));
        let y = case.apply::<NdArray<f64>>(
            &PLAIN,
            Precision::F32,
            &moved.chain(still).collect::<Vec<_>>(),
        );
        let weights = put_like(&y, seed);
        (y * weights).sum().into_scalar()
    };
    let difference = (loss(width) - loss(-width)) / (2.0 * width);
    let mut slope = 0.0;
    let mut size = 1.0;
    for (i, (shape, gradient)) in trained.iter().zip(&exact[1..]).enumerate() {
        for (d, g) in numbers(seed, i + 50, *shape).iter().zip(gradient) {
            slope += d * g;
            size += (d * g).abs();
        }
    }
    prop_assert!(
        (difference - slope).abs() < tolerance * size,
        "{difference} instead of {slope}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_embedding_is_what_it_says(
        tokens in 1usize..60, width in 1usize..30, vocabulary in 1usize..50, seed: u64,
    ) {
        check(Case::Embedding { tokens, width, vocabulary }, seed)?;
    }

    #[test]
    fn the_norm_is_what_it_says(tokens in 1usize..150, width in 2usize..70, seed: u64) {
        check(Case::RmsNorm { tokens, width }, seed)?;
    }

    #[test]
    fn swiglu_is_what_it_says(tokens in 1usize..40, width in 1usize..70, seed: u64) {
        check(Case::SwiGlu { tokens, width }, seed)?;
    }

    #[test]
    fn attention_is_what_it_says(
        batch in 1usize..4, length in 1usize..140, keys in 1usize..4, shared in 1usize..4, half in 1usize..9, seed: u64,
    ) {
        let heads = Heads { queries: keys * shared, keys, head_dim: 2 * half };
        check(Case::Attention { batch, length, heads }, seed)?;
    }

    #[test]
    fn cross_entropy_is_what_it_says(
        tokens in 1usize..40, width in 1usize..30, vocabulary in 1usize..90, tied: bool, seed: u64,
    ) {
        check(Case::CrossEntropy { tokens, width, vocabulary, tied }, seed)?;
    }

    #[test]
    fn a_linear_layer_is_what_it_says(
        tokens in 1usize..90, n in 1usize..60, m in 1usize..60, transposed: bool, seed: u64,
    ) {
        check(Case::Linear { tokens, n, m, transposed }, seed)?;
    }

    #[test]
    fn projections_are_what_they_say(
        tokens in 1usize..90, n in 1usize..60, first in (1usize..60, 0usize..20),
        others in proptest::array::uniform3((0usize..60, 0usize..20)), seed: u64,
    ) {
        let each = [first, others[0], others[1], others[2]];
        check(Case::Projections { tokens, n, each }, seed)?;
    }
}

#[test]
fn a_norm_of_one_number_is_what_it_says() {
    for seed in [4772796596986655174, 1, 2] {
        check(
            Case::RmsNorm {
                tokens: 6,
                width: 1,
            },
            seed,
        )
        .unwrap();
    }
}

#[test]
fn cross_entropy_by_several_chunks_is_that_of_all_tokens() {
    let case = Case::CrossEntropy {
        tokens: 300,
        width: 9,
        vocabulary: 40_000,
        tied: false,
    };
    check(case, 3).unwrap();
    let tied = Case::CrossEntropy {
        tokens: 300,
        width: 9,
        vocabulary: 40_000,
        tied: true,
    };
    check(tied, 4).unwrap();
}

/// Products that several threads compute, in parts that are not a multiple of a vector.
#[test]
fn large_products_are_the_sum_of_their_parts() {
    let (tokens, n, m) = (259, 157, 331);
    for transposed in [false, true] {
        check(
            Case::Linear {
                tokens,
                n,
                m,
                transposed,
            },
            5,
        )
        .unwrap();
    }
    // Enough tokens to use the effective weight, and fewer.
    for (tokens, n, m, rank) in [(700, 157, 331, 171), (97, 331, 257, 167)] {
        let each = [(m, rank), (m + 5, 0), (33, rank), (m, 2)];
        check(Case::Projections { tokens, n, each }, 6).unwrap();
    }
}

/// Projections of one input, of which one output has no part in the loss.
#[test]
fn an_unused_output_has_no_gradient() {
    fn gradients<B: AutodiffBackend>() -> Vec<Option<Vec<f32>>> {
        let put = |i, shape| put::<B>(numbers(3, i, shape), shape, DType::F32).require_grad();
        let (x, full) = (put(0, [5, 4]), put(1, [4, 3]));
        let (a, b, weight) = (put(2, [2, 4]), put(3, [2, 6]), put(4, [4, 6]).detach());
        let adapter = Adapter {
            a: a.clone(),
            b: b.clone(),
            scale: 0.5,
        };
        let projections = vec![
            Projection::full(full.clone()),
            Projection {
                weight,
                adapter: Some(adapter),
            },
        ];
        let outputs = crate::projections(x.clone(), projections, Precision::F32);
        let gradients = outputs[1].clone().powf_scalar(2.0).sum().backward();
        [x, full, a, b]
            .iter()
            .map(|tensor| Some(tensor.grad(&gradients)?.into_data().to_vec().unwrap()))
            .collect()
    }
    let expected = gradients::<Autodiff<NdArray>>();
    assert!(expected[0].is_some() && expected[1].is_none() && expected[3].is_some());
    #[cfg(feature = "flex")]
    {
        let found = gradients::<Autodiff<burn_flex::Flex>>();
        for (found, expected) in found.iter().zip(&expected) {
            let wide = |values: &Option<Vec<f32>>| -> Vec<f64> {
                values.iter().flatten().map(|v| f64::from(*v)).collect()
            };
            close(&wide(found), &wide(expected), 1e-5).unwrap();
        }
    }
}
