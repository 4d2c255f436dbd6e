//! Values and gradients of every operation, on random inputs of odd shapes: as every backend computes them in f32, beside
//! the composed form in f64, and that beside differences.

use crate::operations::{Operations, operations};
use crate::plain::Plain;
use crate::{Adapter, Attention, AttentionTables, Heads, Precision, Projection};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_ndarray::NdArray;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// An operation with its sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    Embedding {
        tokens: usize,
        width: usize,
        vocabulary: usize,
    },
    RmsNorm {
        tokens: usize,
        width: usize,
    },
    SwiGlu {
        tokens: usize,
        width: usize,
    },
    Attention {
        batch: usize,
        length: usize,
        heads: Heads,
    },
    CrossEntropy {
        tokens: usize,
        width: usize,
        vocabulary: usize,
        tied: bool,
    },
    Linear {
        tokens: usize,
        n: usize,
        m: usize,
        transposed: bool,
    },
    /// Outputs and rank of each projection, rank 0 for a full weight; fewer than four where there are no outputs.
    Projections {
        tokens: usize,
        n: usize,
        each: [(usize, usize); 4],
    },
}

impl Case {
    /// Shapes of the inputs that get gradients, and then of those that get none.
    fn shapes(self) -> (Vec<[usize; 2]>, Vec<[usize; 2]>) {
        match self {
            Self::Embedding {
                width, vocabulary, ..
            } => (vec![[vocabulary, width]], vec![]),
            Self::RmsNorm { tokens, width } => (vec![[tokens, width], [1, width]], vec![]),
            Self::SwiGlu { tokens, width } => (vec![[tokens, width]; 2], vec![]),
            Self::Attention {
                batch,
                length,
                heads,
            } => {
                let tokens = batch * length;
                let keys = [tokens, heads.keys * heads.head_dim];
                (
                    vec![[tokens, heads.queries * heads.head_dim], keys, keys],
                    vec![],
                )
            }
            Self::CrossEntropy {
                tokens,
                width,
                vocabulary,
                tied,
            } => {
                let head = if tied {
                    [vocabulary, width]
                } else {
                    [width, vocabulary]
                };
                (vec![[tokens, width], head], vec![])
            }
            Self::Linear {
                tokens,
                n,
                m,
                transposed,
            } => {
                let weight = if transposed { [m, n] } else { [n, m] };
                (vec![[tokens, n], weight], vec![])
            }
            Self::Projections { tokens, n, each } => {
                let each = each.into_iter().filter(|(m, _)| *m > 0);
                let (mut trained, mut frozen) = (vec![[tokens, n]], vec![]);
                for (m, rank) in each {
                    match rank {
                        0 => trained.push([n, m]),
                        _ => {
                            trained.extend([[rank, n], [rank, m]]);
                            frozen.push([n, m]);
                        }
                    }
                }
                (trained, frozen)
            }
        }
    }

    fn apply<B: Backend>(self, by: &dyn Operations<B>, inputs: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        let device = inputs[0].device();
        let input = |i: usize| inputs[i].clone();
        match self {
            Self::Embedding {
                tokens, vocabulary, ..
            } => by.embedding(input(0), targets::<B>(tokens, vocabulary, &device)),
            Self::RmsNorm { width, .. } => by.rms_norm(input(0), input(1).reshape([width]), 1e-5),
            Self::SwiGlu { .. } => by.swiglu(input(0), input(1)),
            Self::Attention { length, heads, .. } => {
                let half = heads.head_dim / 2;
                let table = |of: fn(f64) -> f64| {
                    let angle = |i: usize| (i / half) as f64 * 0.7 / (i % half + 1) as f64;
                    let values: Vec<f64> = (0..length * half).map(|i| of(angle(i))).collect();
                    let data = TensorData::new(values, [length, half]);
                    Tensor::from_data(
                        data.convert_dtype(inputs[0].dtype()),
                        (&device, inputs[0].dtype()),
                    )
                };
                let tables = AttentionTables {
                    cos: table(f64::cos),
                    sin: table(f64::sin),
                    later: None,
                };
                let (q, k, v) = (input(0), input(1), input(2));
                by.causal_attention(Attention {
                    q,
                    k,
                    v,
                    tables,
                    heads,
                })
            }
            Self::CrossEntropy {
                tokens,
                vocabulary,
                tied,
                ..
            } => {
                let targets = targets::<B>(tokens, vocabulary, &device);
                let head = if tied { input(1).transpose() } else { input(1) };
                by.linear_cross_entropy(input(0), head, targets).unsqueeze()
            }
            Self::Linear { transposed, .. } => {
                let weight = if transposed {
                    input(1).transpose()
                } else {
                    input(1)
                };
                let plain = Projection {
                    weight,
                    adapter: None,
                };
                by.projections(input(0), vec![plain]).remove(0)
            }
            Self::Projections { each, .. } => {
                let mut trained = inputs.iter().cloned();
                let x = trained.next().unwrap();
                let frozen = self.shapes().0.len();
                let mut frozen = inputs[frozen..].iter().cloned();
                let mut next = || trained.next().unwrap();
                let each = each.into_iter().filter(|(m, _)| *m > 0);
                let projections = each.map(|(_, rank)| match rank {
                    0 => Projection {
                        weight: next(),
                        adapter: None,
                    },
                    _ => Projection {
                        adapter: Some(Adapter {
                            a: next(),
                            b: next(),
                            scale: 0.3,
                        }),
                        weight: frozen.next().unwrap(),
                    },
                });
                let outputs = by.projections(x, projections.collect());
                Tensor::cat(outputs, 1)
            }
        }
    }
}

/// Tokens, some of them several times.
pub(crate) fn targets<B: Backend>(
    tokens: usize,
    vocabulary: usize,
    device: &B::Device,
) -> Tensor<B, 1, Int> {
    let targets: Vec<i32> = (0..tokens).map(|i| (i * 7 % vocabulary) as i32).collect();
    Tensor::from_data(TensorData::new(targets, [tokens]), device)
}

/// Numbers around one from a seed; which, does not matter.
pub(crate) fn numbers(seed: u64, stream: usize, shape: [usize; 2]) -> Vec<f64> {
    let mut state = seed ^ ((stream as u64 + 1) << 40);
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        // Exact in f32, so that both precisions start from the same numbers.
        f64::from((((state >> 33) as f64 / f64::from(1u32 << 31)) * 2.0 - 1.0) as f32)
    };
    (0..shape[0] * shape[1]).map(|_| next()).collect()
}

pub(crate) fn put<B: Backend>(values: Vec<f64>, shape: [usize; 2], dtype: DType) -> Tensor<B, 2> {
    let data = TensorData::new(values, shape).convert_dtype(dtype);
    Tensor::from_data(data, (&Default::default(), dtype))
}

/// Output, and the gradient of each input of `(output * random numbers).sum()`.
pub(crate) fn computed<B: AutodiffBackend>(
    case: Case,
    seed: u64,
    dtype: DType,
    by: &dyn Operations<B>,
) -> Vec<Vec<f64>> {
    let (trained, frozen) = case.shapes();
    let put = |(i, shape): (usize, &[usize; 2])| put::<B>(numbers(seed, i, *shape), *shape, dtype);
    let mut inputs: Vec<_> = trained.iter().enumerate().map(put).collect();
    inputs
        .iter_mut()
        .for_each(|input| *input = input.clone().require_grad());
    inputs.extend(
        frozen
            .iter()
            .enumerate()
            .map(|(i, shape)| put((i + 7, shape))),
    );
    let y = case.apply(by, &inputs);
    let weights = put_like(&y, seed);
    let gradients = (y.clone() * weights).sum().backward();
    let mut all = vec![y.into_data()];
    all.extend(
        inputs[..trained.len()]
            .iter()
            .map(|x| x.grad(&gradients).unwrap().into_data()),
    );
    all.into_iter()
        .map(|data| data.iter::<f64>().collect())
        .collect()
}

fn put_like<B: Backend>(y: &Tensor<B, 2>, seed: u64) -> Tensor<B, 2> {
    put(numbers(seed, 99, y.dims()), y.dims(), y.dtype())
}

/// Off by no more than `tolerance` of the largest number.
pub(crate) fn close(found: &[f64], expected: &[f64], tolerance: f64) -> TestCaseResult {
    close_beside(found, expected, tolerance, 1e-3)
}

/// Off by no more than `tolerance` of the largest number, or of `least` where the numbers are what is left of terms of that size.
fn close_beside(found: &[f64], expected: &[f64], tolerance: f64, least: f64) -> TestCaseResult {
    prop_assert_eq!(found.len(), expected.len());
    let most = expected
        .iter()
        .fold(least, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        prop_assert!(
            (found - expected).abs() <= tolerance * most,
            "{found} instead of {expected} of {most}"
        );
    }
    Ok(())
}

type Exact = Autodiff<NdArray<f64>>;

/// Every way to compute `case` beside the composed one in f64.
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

/// The composed form in f64.
pub(crate) fn exactly(case: Case, seed: u64) -> Vec<Vec<f64>> {
    computed::<Exact>(case, seed, DType::F64, &Plain(Precision::F32))
}

/// The output, and the gradients that were found, beside those in f64.
pub(crate) fn same(case: Case, found: Vec<Vec<f64>>, exact: &[Vec<f64>]) -> TestCaseResult {
    // Sums of up to a few thousand products of numbers around one, in f32.
    same_within(case, found, exact, 2e-5, 1e-3)
}

/// As [`same`], with products of operands in bf16.
#[cfg(feature = "flex")]
fn same_but_rounded(case: Case, found: Vec<Vec<f64>>, exact: &[Vec<f64>]) -> TestCaseResult {
    // Operands keep 8 bits, and there are at most three products one after the other. What little is left of terms around one
    // that cancel is off by as much as they are; those of a mean are smaller.
    let least = match case {
        Case::CrossEntropy { .. } => 1e-1,
        _ => 1.0,
    };
    same_within(case, found, exact, 4e-2, least)
}

/// Off by no more than `tolerance` of the largest number, or of `least` where all are smaller.
fn same_within(
    case: Case,
    found: Vec<Vec<f64>>,
    exact: &[Vec<f64>],
    tolerance: f64,
    least: f64,
) -> TestCaseResult {
    // A norm of one number is its sign but for epsilon: the two terms of the gradient of `x`, as large as 1 / sqrt(epsilon),
    // cancel.
    let cancels = matches!(case, Case::RmsNorm { width: 1, .. });
    for (number, (found, exact)) in found.iter().zip(exact).enumerate() {
        let least = if cancels && number == 1 { 300.0 } else { least };
        close_beside(found, exact, tolerance, least)?;
    }
    Ok(())
}

/// `case` as the kernels of `K` compute it: behind nodes of a graph that keeps everything, or recomputes, and called directly.
#[cfg(any(feature = "flex", feature = "wgpu"))]
pub(crate) fn by_kernels<K: Backend>(
    case: Case,
    seed: u64,
    same: impl Fn(Vec<Vec<f64>>) -> TestCaseResult,
) -> TestCaseResult {
    same(here::<Autodiff<K>>(case, seed, Precision::F32))?;
    same(here::<Autodiff<K, BalancedCheckpointing>>(
        case,
        seed,
        Precision::F32,
    ))?;
    let (trained, frozen) = case.shapes();
    let streams = (0..trained.len()).chain(7..7 + frozen.len());
    let inputs = streams.zip(trained.iter().chain(&frozen));
    let inputs: Vec<_> = inputs
        .map(|(i, shape)| put(numbers(seed, i, *shape), *shape, DType::F32))
        .collect();
    let y = case.apply(operations::<K>(DType::F32, Precision::F32), &inputs);
    same(vec![y.into_data().iter::<f64>().collect()])
}

/// As an operation of this crate computes on `B`, with products in a precision.
pub(crate) fn here<B: AutodiffBackend>(
    case: Case,
    seed: u64,
    precision: Precision,
) -> Vec<Vec<f64>> {
    computed::<B>(case, seed, DType::F32, operations(DType::F32, precision))
}

/// The gradients in f64 beside the difference along a random direction of all inputs together.
fn differences(case: Case, seed: u64, exact: &[Vec<f64>]) -> TestCaseResult {
    // Burn computes the logistic function in f32, whatever it is given.
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
            &Plain(Precision::F32),
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

/// Products that several threads compute, in parts that are not whole vectors.
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
    // As many tokens as make the effective weight worth it, and fewer.
    for (tokens, n, m, rank) in [(700, 157, 331, 171), (97, 331, 257, 167)] {
        let each = [(m, rank), (m + 5, 0), (33, rank), (m, 2)];
        check(Case::Projections { tokens, n, each }, 6).unwrap();
    }
}

/// The outputs of projections of one input, of which some have no part in the loss.
#[test]
fn an_output_that_nobody_used_has_no_gradient() {
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
            Projection {
                weight: full.clone(),
                adapter: None,
            },
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
