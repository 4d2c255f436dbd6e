//! A product of thin matrices, added to a matrix in place: what a switch does to a frozen weight.

use super::launch::Launch;
use super::tensors::{contiguous, elementwise, owned, rows_and_columns, vector_size};
use crate::primitive::{primitive, tensor};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};
use cubecl::prelude::*;

/// Rows of both factors up to which each element of the product is added up where it is needed. Not measured on a GPU.
const THIN: usize = 16;

/// `weight + leftᵀ right`, computed in the type of `left` and rounded to that of `weight`.
pub(super) fn add_product<B: Launch>(
    weight: FloatTensor<B>,
    left: FloatTensor<B>,
    right: FloatTensor<B>,
) -> FloatTensor<B> {
    let (rests_in, dtype) = (weight.dtype(), left.dtype());
    if rests_in != dtype {
        let weight = primitive(tensor::<B, 2>(weight).cast(dtype));
        let sum = tensor::<B, 2>(add_product::<B>(weight, left, right));
        return primitive(sum.cast(rests_in));
    }
    if left.shape()[0] > THIN {
        let [weight, left, right] = [weight, left, right].map(tensor::<B, 2>);
        let product: Tensor<B, 2> = left.transpose().matmul(right);
        return primitive(weight + product);
    }
    let outputs = [(weight.shape(), weight.dtype())];
    let inputs = [weight, left, right];
    let [sum] = B::launch("add_product", inputs, outputs, |[weight, left, right]| {
        let (weight, left, right) = (owned(weight), contiguous(left), contiguous(right));
        let [rows, columns] = rows_and_columns(&weight);
        let [terms, _] = rows_and_columns(&left);
        let client = weight.client.clone();
        let size = vector_size(&client, columns);
        let work = rows * columns / size;
        if work * terms > 0 {
            let (count, dim) = elementwise(&client, work);
            // SAFETY: a unit past the end does nothing, and the shapes belong together.
            unsafe {
                add_thin::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    size,
                    weight.clone().into_array_arg(),
                    left.into_array_arg(),
                    right.into_array_arg(),
                    rows,
                    columns / size,
                    terms,
                    work,
                );
            }
        }
        [weight]
    });
    sum
}

#[cube(launch_unchecked)]
fn add_thin<N: Size>(
    weight: &mut Array<Vector<f32, N>>,
    left: &Array<f32>,
    right: &Array<Vector<f32, N>>,
    rows: usize,
    columns: usize,
    terms: usize,
    work: usize,
) {
    if ABSOLUTE_POS < work {
        let row = ABSOLUTE_POS / columns;
        let column = ABSOLUTE_POS % columns;
        let mut sum = weight[ABSOLUTE_POS];
        let mut term = 0usize;
        while term < terms {
            sum += Vector::new(left[term * rows + row]) * right[term * columns + column];
            term += 1;
        }
        weight[ABSOLUTE_POS] = sum;
    }
}
