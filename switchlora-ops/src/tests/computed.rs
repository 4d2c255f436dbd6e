//! Results of an operation: exact in f64, and as each backend computes them.

use super::case::Case;
use super::numbers::{close_beside, numbers, put, values};
use crate::Precision;
use crate::operations::Model;
use crate::plain::Plain;
use crate::registry::model;
use burn::backend::Autodiff;
#[cfg(any(feature = "flex", feature = "wgpu"))]
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use burn_ndarray::NdArray;
use proptest::test_runner::TestCaseResult;

type Exact = Autodiff<NdArray<f64>>;

/// The operations composed of tensor operations, as NdArray and Flex use them.
pub(crate) const PLAIN: Plain = Plain { norm_in_f64: true };

/// The output, and the gradient of `(output * random numbers).sum()` for each trained input.
pub(crate) fn computed<B: AutodiffBackend>(
    case: Case,
    seed: u64,
    dtype: DType,
    by: &dyn Model<B>,
    precision: Precision,
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
    let y = case.apply(by, precision, &inputs);
    let weights = put_like(&y, seed);
    let gradients = (y.clone() * weights).sum().backward();
    let trained = inputs[..trained.len()].iter();
    let gradients = trained.map(|x| values(x.grad(&gradients).unwrap()));
    std::iter::once(values(y)).chain(gradients).collect()
}

pub(crate) fn put_like<B: Backend>(y: &Tensor<B, 2>, seed: u64) -> Tensor<B, 2> {
    put(numbers(seed, 99, y.dims()), y.dims(), y.dtype())
}

/// The output and the gradients of autodiff over tensor operations, in f64.
pub(crate) fn exactly(case: Case, seed: u64) -> Vec<Vec<f64>> {
    computed::<Exact>(case, seed, DType::F64, &PLAIN, Precision::F32)
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
    let y = case.apply(model_of::<K>(DType::F32), Precision::F32, &inputs);
    same(vec![values(y)])
}

/// The output and the gradients in f32, as a public function of this crate computes them on `B`.
pub(crate) fn here<B: AutodiffBackend>(
    case: Case,
    seed: u64,
    precision: Precision,
) -> Vec<Vec<f64>> {
    computed::<B>(case, seed, DType::F32, model_of::<B>(DType::F32), precision)
}

/// The way to compute on tensors of `dtype`.
pub(crate) fn model_of<B: Backend>(dtype: DType) -> &'static dyn Model<B> {
    model(&Tensor::<B, 1>::empty([1], (&Default::default(), dtype)))
}
