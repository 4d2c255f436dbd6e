//! The kernels with and without fusion, compared with tensor operations on a CPU.
//!
//! Few cases of each operation: our kernels take sizes at run time, but Burn compiles and tunes products per shape.

use super::Device;
use crate::check::case::Case;
use crate::check::computed::{exactly, here};
use crate::registry::kernels;
use crate::tests::close::{by_kernels, same};
use crate::{Heads, Precision};
use burn::backend::Autodiff;
use burn::tensor::DType;

/// Checks values and gradients of each case, and of the first case without fusion as well.
fn check<D: Device>(cases: &[Case]) {
    for (seed, &case) in cases.iter().enumerate() {
        let exact = exactly(case, seed as u64);
        by_kernels::<D::Fused>(case, seed as u64, |found| same(case, found, &exact))
            .unwrap_or_else(|wrong| panic!("{case:?}: {wrong}"));
        if seed == 0 {
            same(
                case,
                here::<Autodiff<D::Unfused>>(case, 0, Precision::F32),
                &exact,
            )
            .unwrap_or_else(|wrong| panic!("{case:?} without fusion: {wrong}"));
        }
    }
}

pub(super) fn an_embedding_is_what_it_says<D: Device>() {
    let case = |tokens, width, vocabulary| Case::Embedding {
        tokens,
        width,
        vocabulary,
    };
    check::<D>(&[
        case(59, 29, 7),
        case(1, 1, 1),
        case(300, 4, 1000),
        case(8, 300, 50),
    ]);
}

pub(super) fn the_norm_is_what_it_says<D: Device>() {
    let case = |tokens, width| Case::RmsNorm { tokens, width };
    // Enough rows for several parts of the gradient of the weight, and rows longer than a cube.
    check::<D>(&[
        case(149, 69),
        case(1, 2),
        case(6, 1),
        case(5000, 8),
        case(3, 2052),
        case(2, 1031),
    ]);
}

pub(super) fn swiglu_is_what_it_says<D: Device>() {
    let case = |tokens, width| Case::SwiGlu { tokens, width };
    check::<D>(&[case(39, 69), case(1, 1), case(130, 64)]);
}

pub(super) fn attention_is_what_it_says<D: Device>() {
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
    check::<D>(&[
        case(2, 7, 6, 2, 6),
        case(1, 1, 1, 1, 2),
        case(1, 1030, 1, 1, 4),
    ]);
}

pub(super) fn cross_entropy_is_what_it_says<D: Device>() {
    let case = |tokens, width, vocabulary, tied| Case::CrossEntropy {
        tokens,
        width,
        vocabulary,
        tied,
    };
    // No width of 8: one of Burn's variants of that product is wrong on Mesa's driver, with or without our kernels.
    check::<D>(&[case(39, 29, 89, false), case(17, 29, 1031, true)]);
}

pub(super) fn a_linear_layer_is_what_it_says<D: Device>() {
    let case = |tokens, n, m, transposed| Case::Linear {
        tokens,
        n,
        m,
        transposed,
    };
    check::<D>(&[case(89, 59, 31, true)]);
}

pub(super) fn projections_are_what_they_say<D: Device>() {
    let case = |tokens, n, each| Case::Projections { tokens, n, each };
    // More cases are in `projection`: they use no kernel.
    check::<D>(&[case(40, 24, [(30, 8), (24, 0), (24, 8), (24, 8)])]);
}

pub(super) fn there_are_kernels_in_f32_alone<D: Device>() {
    assert!(
        kernels::<D::Fused>(DType::F32).is_some() && kernels::<D::Unfused>(DType::F32).is_some()
    );
    assert!(kernels::<D::Fused>(DType::F16).is_none() && kernels::<D::Fused>(DType::F64).is_none());
}
