//! A product of thin matrices, added to a matrix in place: what a switch does to a frozen weight.

use super::launch::Launch;
use super::product::product;
use super::tensors::{contiguous, elementwise, owned, rows_and_columns, vector_size};
use crate::kernels::Kernels;
use crate::operations::AddProduct;
use crate::primitive::{primitive, tensor};
use burn::tensor::Tensor;
use cubecl::prelude::*;

/// Maximal number of rows of both factors for our own kernel. Burn computes larger products. Not measured on a GPU.
const THIN: usize = 16;

impl<B: Launch> AddProduct<B> for Kernels {
    fn matmul(&self, left: Tensor<B, 2>, right: Tensor<B, 2>) -> Tensor<B, 2> {
        product(left, right)
    }

    fn add_product(
        &self,
        weight: Tensor<B, 2>,
        left: Tensor<B, 2>,
        right: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let (stored, dtype) = (weight.dtype(), left.dtype());
        if stored != dtype {
            return self
                .add_product(weight.cast(dtype), left, right)
                .cast(stored);
        }
        if left.dims()[0] > THIN {
            return weight + product(left.transpose(), right);
        }
        add_thin_product(weight, left, right)
    }
}

/// [`AddProduct`] by our own kernel.
pub(super) fn add_thin_product<B: Launch>(
    weight: Tensor<B, 2>,
    left: Tensor<B, 2>,
    right: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let outputs = [(weight.shape(), weight.dtype())];
    let inputs = [weight, left, right].map(primitive);
    let [sum] = B::launch("add_product", inputs, outputs, |[weight, left, right]| {
        let (weight, left, right) = (owned(weight), contiguous(left), contiguous(right));
        let [rows, columns] = rows_and_columns(&weight);
        let [terms, _] = rows_and_columns(&left);
        let client = weight.client.clone();
        let size = vector_size(&client, columns);
        let work = rows * columns / size;
        if work * terms > 0 {
            let (count, dim) = elementwise(&client, work);
            // SAFETY: units after the end do nothing, and the shapes match.
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
    tensor(sum)
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
