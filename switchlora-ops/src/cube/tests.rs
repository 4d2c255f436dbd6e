//! The kernels on burn-wgpu, with fusion and without, beside the composed form on a CPU; Mesa's Vulkan in software will do.
//! Few cases of each: sizes are numbers at run time, but what burn compiles and tunes for a product depends on its shape.

use crate::gradients::{Case, by_kernels, close, exactly, here, numbers, put, same};
use crate::operations::{Operations, operations, own_kernels};
use crate::plain::Plain;
use crate::{AdamWRows, Heads, Moments, Precision};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_ndarray::NdArray;
use burn_wgpu::{Wgpu, WgpuRuntime};

type Unfused = CubeBackend<WgpuRuntime, f32, i32, u32>;

/// Values and gradients of each case, of the first without fusion as well.
fn check(cases: &[Case]) {
    for (seed, &case) in cases.iter().enumerate() {
        let exact = exactly(case, seed as u64);
        by_kernels::<Wgpu>(case, seed as u64, |found| same(case, found, &exact))
            .unwrap_or_else(|wrong| panic!("{case:?}: {wrong}"));
        if seed == 0 {
            same(
                case,
                here::<Autodiff<Unfused>>(case, 0, Precision::F32),
                &exact,
            )
            .unwrap_or_else(|wrong| panic!("{case:?} without fusion: {wrong}"));
        }
    }
}

#[test]
fn an_embedding_on_wgpu_is_what_it_says() {
    let case = |tokens, width, vocabulary| Case::Embedding {
        tokens,
        width,
        vocabulary,
    };
    check(&[
        case(59, 29, 7),
        case(1, 1, 1),
        case(300, 4, 1000),
        case(8, 300, 50),
    ]);
}

#[test]
fn the_norm_on_wgpu_is_what_it_says() {
    let case = |tokens, width| Case::RmsNorm { tokens, width };
    // As many rows as make several parts of the gradient of the weight, and rows longer than a cube.
    check(&[
        case(149, 69),
        case(1, 2),
        case(6, 1),
        case(5000, 8),
        case(3, 2052),
        case(2, 1031),
    ]);
}

#[test]
fn swiglu_on_wgpu_is_what_it_says() {
    let case = |tokens, width| Case::SwiGlu { tokens, width };
    check(&[case(39, 69), case(1, 1), case(130, 64)]);
}

#[test]
fn attention_on_wgpu_is_what_it_says() {
    let case = |batch, length, queries, keys, head_dim| Case::Attention {
        batch,
        length,
        heads: Heads {
            queries,
            keys,
            head_dim,
        },
    };
    // Heads that share keys, a single position, and rows longer than a cube.
    check(&[
        case(2, 7, 6, 2, 6),
        case(1, 1, 1, 1, 2),
        case(1, 1030, 1, 1, 4),
    ]);
}

#[test]
fn cross_entropy_on_wgpu_is_what_it_says() {
    let case = |tokens, width, vocabulary, tied| Case::CrossEntropy {
        tokens,
        width,
        vocabulary,
        tied,
    };
    // Not 8 wide: of the variants that burn tries for that product, one is wrong on Mesa's driver, with or without our kernels.
    check(&[case(39, 29, 89, false), case(17, 29, 1031, true)]);
}

#[test]
fn a_linear_layer_on_wgpu_is_what_it_says() {
    let case = |tokens, n, m, transposed| Case::Linear {
        tokens,
        n,
        m,
        transposed,
    };
    check(&[case(89, 59, 31, true)]);
}

#[test]
fn projections_on_wgpu_are_what_they_say() {
    let case = |tokens, n, each| Case::Projections { tokens, n, each };
    // The rest of what they do is checked where it is: nothing in it is a kernel.
    check(&[case(40, 24, [(30, 8), (24, 0), (24, 8), (24, 8)])]);
}

#[test]
fn burns_wgpu_has_kernels_of_its_own_in_f32_alone() {
    let own = |dtype| {
        let found: *const dyn Operations<Wgpu> = operations::<Wgpu>(dtype, Precision::F32);
        own_kernels(Precision::F32)
            .iter()
            .filter_map(|way| way.downcast_ref::<&'static dyn Operations<Wgpu>>())
            .any(|way| std::ptr::eq(*way, found))
    };
    assert!(own(DType::F32));
    assert!(!own(DType::F16) && !own(DType::F64));
}

/// Parameter and moments after two updates, and a copy of the parameter that was held all the time.
fn updated<B: Backend>(
    by: &dyn Operations<B>,
    shape: [usize; 2],
    rows: [&AdamWRows; 2],
    verdicts: [Option<f32>; 2],
    held: bool,
) -> Vec<Vec<f64>> {
    let input = |stream| put::<B>(numbers(5, stream, shape), shape, DType::F32);
    let parameter = input(0);
    let copy = held.then(|| parameter.clone());
    let verdicts = verdicts.map(|verdict| {
        let data = TensorData::from([verdict?]);
        Some(Tensor::from_data(data, (&Default::default(), DType::F32)))
    });
    let [at_first, then] = verdicts;
    let (parameter, moments) = by.adamw(parameter, input(1), None, rows[0], at_first);
    let copies = held.then(|| moments.clone());
    let (parameter, moments) = by.adamw(parameter, input(2), Some(moments), rows[1], then);
    let Moments { first, second } = moments;
    let copies = copies.map(|copies| [copies.first, copies.second]);
    let held = copy.into_iter().chain(copies.into_iter().flatten());
    let all = [parameter, first, second].into_iter().chain(held);
    all.map(|tensor| tensor.into_data().iter::<f64>().collect())
        .collect()
}

#[test]
fn adamw_on_wgpu_is_the_composed_form_row_by_row_and_disturbs_nobody() {
    let alike = AdamWRows {
        beta_1: 0.9,
        beta_2: 0.999,
        gradient_scale: 0.5,
        rates: vec![0.01],
        epsilons: vec![1e-8],
        remaining: vec![0.99],
        reset: vec![],
        frozen: vec![],
    };
    for shape in [[1, 1], [7, 5], [6, 64], [130, 12]] {
        let each = |of: fn(f32) -> f32| (0..shape[0]).map(|row| of(row as f32)).collect();
        let by_row = AdamWRows {
            gradient_scale: 1.0,
            rates: each(|row| 0.01 + row * 1e-4),
            epsilons: each(|row| 1e-8 * (1.0 + row)),
            remaining: each(|row| 1.0 - row * 1e-3),
            reset: (0..shape[0]).step_by(3).collect(),
            frozen: (0..shape[0]).step_by(2).collect(),
            ..alike.clone()
        };
        let marked = AdamWRows {
            reset: vec![shape[0] - 1],
            ..alike.clone()
        };
        for (rows, verdicts) in [
            ([&alike, &alike], [None, None]),
            ([&by_row, &by_row], [None, None]),
            ([&alike, &marked], [Some(0.5), Some(0.25)]),
            // Refused at first, and later.
            ([&by_row, &by_row], [Some(-1.0), Some(0.5)]),
            ([&alike, &by_row], [None, Some(-1.0)]),
        ] {
            for held in [false, true] {
                let by = &Plain(Precision::F32);
                let expected = updated::<NdArray>(by, shape, rows, verdicts, held);
                let by = operations(DType::F32, Precision::F32);
                let fused = updated::<Wgpu>(by, shape, rows, verdicts, held);
                let by = operations(DType::F32, Precision::F32);
                let unfused = updated::<Unfused>(by, shape, rows, verdicts, held);
                for found in [fused, unfused] {
                    assert_eq!(found.len(), expected.len());
                    for (found, expected) in found.iter().zip(&expected) {
                        // A few roundings of f32.
                        close(found, expected, 1e-6).unwrap();
                    }
                }
            }
        }
    }
}

/// Reads rows, writes them elsewhere, adds a product, sums squares: everything an optimizer does besides AdamW.
fn rows_and_sums<B: Backend>(
    by: &dyn Operations<B>,
    shape: [usize; 2],
    terms: usize,
) -> Vec<Vec<f64>> {
    let [count, columns] = shape;
    let matrix = put::<B>(numbers(6, 0, shape), shape, DType::F32);
    let rows = [count - 1, 0, count / 2];
    let read = by.gather_rows(&matrix, &rows[..terms.min(3)]);
    let written = by.scatter_rows(matrix.clone(), &rows[..terms.min(3)], read.clone() * 2.0);
    let left = put::<B>(numbers(6, 1, [terms, count]), [terms, count], DType::F32);
    let right = put::<B>(
        numbers(6, 2, [terms, columns]),
        [terms, columns],
        DType::F32,
    );
    let sum = by.add_product(written.clone(), left, right);
    let squares: Tensor<B, 2> = by.sum_of_squares(sum.clone()).unsqueeze();
    let all = [matrix, read, written, sum, squares];
    all.map(|tensor| tensor.into_data().iter::<f64>().collect())
        .into()
}

#[test]
fn rows_products_and_sums_on_wgpu_are_those_of_a_cpu() {
    for (shape, terms) in [([3, 1], 1), ([37, 20], 3), ([700, 333], 2), ([40, 64], 20)] {
        let expected = rows_and_sums::<NdArray>(&Plain(Precision::F32), shape, terms);
        let by = operations(DType::F32, Precision::F32);
        for (found, expected) in rows_and_sums::<Wgpu>(by, shape, terms)
            .iter()
            .zip(&expected)
        {
            // Sums of up to 233 100 squares; the composed form adds them one after the other.
            close(found, expected, 1e-5).unwrap();
        }
    }
}
