//! The kernels on burn-wgpu, with and without fusion, compared with tensor operations on a CPU. Mesa's software Vulkan suffices.
//!
//! Few cases of each operation: our kernels take sizes at run time, but Burn compiles and tunes products per shape.

use crate::registry::kernels;
use crate::tests::case::Case;
use crate::tests::computed::{by_kernels, exactly, here, same};
use crate::{Heads, Precision};
use burn::backend::Autodiff;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_wgpu::{Wgpu, WgpuRuntime};

pub(super) type Unfused = CubeBackend<WgpuRuntime, f32, i32, u32>;

/// Checks values and gradients of each case, and of the first case without fusion as well.
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
    // Enough rows for several parts of the gradient of the weight, and rows longer than a cube.
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
    // No width of 8: one of Burn's variants of that product is wrong on Mesa's driver, with or without our kernels.
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
    // More cases are in `projection`: they use no kernel.
    check(&[case(40, 24, [(30, 8), (24, 0), (24, 8), (24, 8)])]);
}

#[test]
fn burns_wgpu_has_kernels_in_f32_alone() {
    assert!(kernels::<Wgpu>(DType::F32).is_some());
    assert!(kernels::<Wgpu>(DType::F16).is_none() && kernels::<Wgpu>(DType::F64).is_none());
}
