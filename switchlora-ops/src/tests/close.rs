//! Comparison of results.

use crate::Precision;
use crate::check::case::Case;
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
use crate::check::{
    computed::{here, model_of},
    numbers::{numbers, put, values},
};
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
use burn::backend::{Autodiff, autodiff::checkpoint::strategy::BalancedCheckpointing};
use burn::tensor::DType;
use burn::tensor::backend::Backend;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// Requires a difference of at most `tolerance` times the largest expected number.
pub(crate) fn close(found: &[f64], expected: &[f64], tolerance: f64) -> TestCaseResult {
    close_beside(found, expected, tolerance, 1e-3)
}

/// As [`close`], relative to at least `least`: the size of terms whose sum the numbers are.
pub(crate) fn close_beside(
    found: &[f64],
    expected: &[f64],
    tolerance: f64,
    least: f64,
) -> TestCaseResult {
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

/// Requires that the output and the gradients match those in f64.
pub(crate) fn same(case: Case, found: Vec<Vec<f64>>, exact: &[Vec<f64>]) -> TestCaseResult {
    // Sums of up to a few thousand products of numbers around one, in f32.
    same_within(case, found, exact, 2e-5, 1e-3)
}

/// As [`same`], for products in bf16.
#[cfg(feature = "flex")]
pub(crate) fn same_but_rounded(
    case: Case,
    found: Vec<Vec<f64>>,
    exact: &[Vec<f64>],
) -> TestCaseResult {
    // Operands keep 8 bits of mantissa, and at most three products follow each other. Where terms around one cancel, the
    // error is relative to the terms; the terms of a mean are smaller.
    let least = match case {
        Case::CrossEntropy { .. } => 1e-1,
        _ => 1.0,
    };
    same_within(case, found, exact, 4e-2, least)
}

/// Requires differences of at most `tolerance` times the largest number, or times `least` if all are smaller.
fn same_within(
    case: Case,
    found: Vec<Vec<f64>>,
    exact: &[Vec<f64>],
    tolerance: f64,
    least: f64,
) -> TestCaseResult {
    // The norm of one number is its sign, except for epsilon: the gradient of `x` has two terms of size 1 / sqrt(epsilon) that
    // cancel.
    let cancels = matches!(case, Case::RmsNorm { width: 1, .. });
    for (number, (found, exact)) in found.iter().zip(exact).enumerate() {
        let least = if cancels && number == 1 { 300.0 } else { least };
        close_beside(found, exact, tolerance, least)?;
    }
    Ok(())
}

/// Checks the kernels of `K`: under autodiff with both checkpointing strategies, and called directly.
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
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
    let y = case.apply(model_of::<K>(DType::F32), Precision::F32, &inputs);
    same(vec![values(y)])
}
