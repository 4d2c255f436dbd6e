//! A product of thin matrices, added to a matrix in place: what a switch does to a frozen weight.

use super::launch::Launch;
use super::product::product;
use super::tensors::{contiguous, elementwise, is_accepted, owned, rows_and_columns, vector_size};
use crate::kernels::Kernels;
use crate::operations::{AddProduct, as_one};
use crate::plain::optimizer::chosen;
use crate::primitive::{primitive, tensor};
use burn::tensor::Tensor;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
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
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2> {
        let (stored, dtype) = (weight.dtype(), left.dtype());
        if stored != dtype {
            return self
                .add_product(weight.cast(dtype), left, right, verdict)
                .cast(stored);
        }
        if left.dims()[0] <= THIN {
            return add_thin_product(weight, left, right, verdict);
        }
        let left = match verdict {
            Some(verdict) => chosen(left.clone(), left.zeros_like(), verdict),
            None => left,
        };
        weight + product(left.transpose(), right)
    }

    fn add_products(
        &self,
        weight: Tensor<B, 2>,
        pairs: [[Tensor<B, 2>; 2]; 2],
        scale: f64,
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2> {
        let [[a, _], [b, _]] = &pairs;
        let terms = a.dims()[0] + b.dims()[0];
        if weight.dtype() == a.dtype() && terms <= THIN {
            return add_thin_products(weight, pairs, scale as f32, verdict);
        }
        let [left, right] = as_one(pairs, scale);
        self.add_product(weight, left, right, verdict)
    }
}

/// The sum of two thin products, by one kernel that reads the factors where they are.
pub(super) fn add_thin_products<B: Launch>(
    weight: Tensor<B, 2>,
    [[left_a, right_a], [left_b, right_b]]: [[Tensor<B, 2>; 2]; 2],
    scale: f32,
    verdict: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    let outputs = [(weight.shape(), weight.dtype())];
    let inputs = [weight, left_a, right_a, left_b, right_b].map(primitive);
    let [sum] = match verdict.map(primitive) {
        Some(verdict) => {
            let [weight, left_a, right_a, left_b, right_b] = inputs;
            B::launch(
                "add_products_judged",
                [weight, left_a, right_a, left_b, right_b, verdict],
                outputs,
                move |[weight, left_a, right_a, left_b, right_b, verdict]| {
                    let pairs = [[left_a, right_a], [left_b, right_b]];
                    [both_added(weight, pairs, scale, Some(verdict))]
                },
            )
        }
        None => B::launch(
            "add_products",
            inputs,
            outputs,
            move |[weight, left_a, right_a, left_b, right_b]| {
                let pairs = [[left_a, right_a], [left_b, right_b]];
                [both_added(weight, pairs, scale, None)]
            },
        ),
    };
    tensor(sum)
}

/// `weight + scale (leftᵀ right of each pair)`.
fn both_added<R: CubeRuntime>(
    weight: CubeTensor<R>,
    pairs: [[CubeTensor<R>; 2]; 2],
    scale: f32,
    verdict: Option<CubeTensor<R>>,
) -> CubeTensor<R> {
    let weight = owned(weight);
    let [[left_a, right_a], [left_b, right_b]] = pairs.map(|pair| pair.map(contiguous));
    let [rows, columns] = rows_and_columns(&weight);
    let [terms_a, terms_b] = [&left_a, &left_b].map(|left| rows_and_columns(left)[0]);
    let client = weight.client.clone();
    let size = vector_size(&client, columns);
    let work = rows * columns / size;
    if work * (terms_a + terms_b) > 0 {
        let (count, dim) = elementwise(&client, work);
        let judged = verdict.is_some();
        // Not read if there is no verdict.
        let verdict = verdict.unwrap_or_else(|| left_a.clone());
        // SAFETY: units after the end do nothing, and the shapes match.
        unsafe {
            add_two_thin::launch_unchecked::<R>(
                &client,
                count,
                dim,
                size,
                weight.clone().into_array_arg(),
                left_a.into_array_arg(),
                right_a.into_array_arg(),
                left_b.into_array_arg(),
                right_b.into_array_arg(),
                verdict.into_array_arg(),
                rows,
                columns / size,
                terms_a,
                terms_b,
                scale,
                work,
                judged,
            );
        }
    }
    weight
}

/// [`AddProduct`] by our own kernel.
pub(super) fn add_thin_product<B: Launch>(
    weight: Tensor<B, 2>,
    left: Tensor<B, 2>,
    right: Tensor<B, 2>,
    verdict: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    let outputs = [(weight.shape(), weight.dtype())];
    let [weight, left, right] = [weight, left, right].map(primitive);
    let [sum] = match verdict.map(primitive) {
        Some(verdict) => B::launch(
            "add_product_judged",
            [weight, left, right, verdict],
            outputs,
            |[weight, left, right, verdict]| [added(weight, left, right, Some(verdict))],
        ),
        None => B::launch(
            "add_product",
            [weight, left, right],
            outputs,
            |[weight, left, right]| [added(weight, left, right, None)],
        ),
    };
    tensor(sum)
}

/// `weight + leftᵀ right`.
fn added<R: CubeRuntime>(
    weight: CubeTensor<R>,
    left: CubeTensor<R>,
    right: CubeTensor<R>,
    verdict: Option<CubeTensor<R>>,
) -> CubeTensor<R> {
    let (weight, left, right) = (owned(weight), contiguous(left), contiguous(right));
    let [rows, columns] = rows_and_columns(&weight);
    let [terms, _] = rows_and_columns(&left);
    let client = weight.client.clone();
    let size = vector_size(&client, columns);
    let work = rows * columns / size;
    if work * terms > 0 {
        let (count, dim) = elementwise(&client, work);
        let judged = verdict.is_some();
        // Not read if there is no verdict.
        let verdict = verdict.unwrap_or_else(|| left.clone());
        // SAFETY: units after the end do nothing, and the shapes match.
        unsafe {
            add_thin::launch_unchecked::<R>(
                &client,
                count,
                dim,
                size,
                weight.clone().into_array_arg(),
                left.into_array_arg(),
                right.into_array_arg(),
                verdict.into_array_arg(),
                rows,
                columns / size,
                terms,
                work,
                judged,
            );
        }
    }
    weight
}

#[cube(launch_unchecked)]
fn add_thin<N: Size>(
    weight: &mut Array<Vector<f32, N>>,
    left: &Array<f32>,
    right: &Array<Vector<f32, N>>,
    verdict: &Array<f32>,
    rows: usize,
    columns: usize,
    terms: usize,
    work: usize,
    #[comptime] judged: bool,
) {
    if ABSOLUTE_POS < work && is_accepted(verdict, judged) {
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

#[cube(launch_unchecked)]
fn add_two_thin<N: Size>(
    weight: &mut Array<Vector<f32, N>>,
    left_a: &Array<f32>,
    right_a: &Array<Vector<f32, N>>,
    left_b: &Array<f32>,
    right_b: &Array<Vector<f32, N>>,
    verdict: &Array<f32>,
    rows: usize,
    columns: usize,
    terms_a: usize,
    terms_b: usize,
    scale: f32,
    work: usize,
    #[comptime] judged: bool,
) {
    if ABSOLUTE_POS < work && is_accepted(verdict, judged) {
        let row = ABSOLUTE_POS / columns;
        let column = ABSOLUTE_POS % columns;
        let scales = Vector::new(scale);
        let mut sum = weight[ABSOLUTE_POS];
        let mut term = 0usize;
        while term < terms_a {
            let right = right_a[term * columns + column] * scales;
            sum += Vector::new(left_a[term * rows + row]) * right;
            term += 1;
        }
        term = 0usize;
        while term < terms_b {
            let right = right_b[term * columns + column] * scales;
            sum += Vector::new(left_b[term * rows + row]) * right;
            term += 1;
        }
        weight[ABSOLUTE_POS] = sum;
    }
}
