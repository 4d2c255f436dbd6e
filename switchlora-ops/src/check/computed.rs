//! Results of an operation: exact in f64, and as each backend computes them.

use super::case::Case;
use super::numbers::{numbers, put, values};
use crate::Precision;
use crate::operations::Model;
use crate::plain::Plain;
use crate::registry::model;
use burn::backend::Autodiff;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use burn_ndarray::NdArray;

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
