//! Reading and writing a few rows of a matrix.

use super::launch::Launch;
use super::tensors::{
    contiguous, elementwise, empty, is_accepted, owned, rows_and_columns, vector_size,
};
use crate::kernels::Kernels;
use crate::operations::Rows;
use crate::primitive::{primitive, tensor};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

impl<B: Launch> Rows<B> for Kernels {
    fn gather_rows(&self, matrix: &Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
        let shape = [rows.len(), matrix.dims()[1]];
        let outputs = [(Shape::from(shape), matrix.dtype())];
        let rows = numbers(rows);
        let inputs = [primitive(matrix.clone())];
        let [gathered] = B::launch("gather_rows", inputs, outputs, move |[matrix]| {
            let matrix = contiguous(matrix);
            let gathered = empty(&matrix, shape, matrix.dtype);
            let client = matrix.client.clone();
            let size = vector_size(&client, shape[1]);
            let work = rows.len() * shape[1] / size;
            if work > 0 {
                let (count, dim) = elementwise(&client, work);
                let numbers = client.create_from_slice(u32::as_bytes(&rows));
                // SAFETY: units after the last row do nothing, and the caller names rows of the matrix.
                unsafe {
                    gather_rows::launch_unchecked::<B::Runtime>(
                        &client,
                        count,
                        dim,
                        size,
                        matrix.into_array_arg(),
                        ArrayArg::from_raw_parts(numbers, rows.len()),
                        gathered.clone().into_array_arg(),
                        shape[1] / size,
                        work,
                    );
                }
            }
            [gathered]
        });
        tensor(gathered)
    }

    fn scatter_rows(
        &self,
        matrix: Tensor<B, 2>,
        rows: &[usize],
        values: Tensor<B, 2>,
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2> {
        let outputs = [(matrix.shape(), matrix.dtype())];
        let rows = numbers(rows);
        let [matrix, values] = [matrix, values].map(primitive);
        let [scattered] = match verdict.map(primitive) {
            Some(verdict) => B::launch(
                "scatter_rows_judged",
                [matrix, values, verdict],
                outputs,
                move |[matrix, values, verdict]| [scattered(matrix, &rows, values, Some(verdict))],
            ),
            None => B::launch(
                "scatter_rows",
                [matrix, values],
                outputs,
                move |[matrix, values]| [scattered(matrix, &rows, values, None)],
            ),
        };
        tensor(scattered)
    }
}

/// `matrix` with the `values` in its `rows`.
fn scattered<R: CubeRuntime>(
    matrix: CubeTensor<R>,
    rows: &[u32],
    values: CubeTensor<R>,
    verdict: Option<CubeTensor<R>>,
) -> CubeTensor<R> {
    let (matrix, values) = (owned(matrix), contiguous(values));
    let [_, columns] = rows_and_columns(&matrix);
    let client = matrix.client.clone();
    let size = vector_size(&client, columns);
    let work = rows.len() * columns / size;
    if work > 0 {
        let (count, dim) = elementwise(&client, work);
        let numbers = client.create_from_slice(u32::as_bytes(rows));
        let judged = verdict.is_some();
        // Not read if there is no verdict.
        let verdict = verdict.unwrap_or_else(|| values.clone());
        // SAFETY: units after the last row do nothing, and the caller names rows of the matrix.
        unsafe {
            scatter_rows::launch_unchecked::<R>(
                &client,
                count,
                dim,
                size,
                matrix.clone().into_array_arg(),
                ArrayArg::from_raw_parts(numbers, rows.len()),
                values.into_array_arg(),
                verdict.into_array_arg(),
                columns / size,
                work,
                judged,
            );
        }
    }
    matrix
}

fn numbers(rows: &[usize]) -> Vec<u32> {
    rows.iter().map(|row| *row as u32).collect()
}

#[cube(launch_unchecked)]
fn gather_rows<N: Size>(
    matrix: &Array<Vector<f32, N>>,
    rows: &Array<u32>,
    gathered: &mut Array<Vector<f32, N>>,
    columns: usize,
    work: usize,
) {
    if ABSOLUTE_POS < work {
        let row = rows[ABSOLUTE_POS / columns] as usize;
        gathered[ABSOLUTE_POS] = matrix[row * columns + ABSOLUTE_POS % columns];
    }
}

#[cube(launch_unchecked)]
fn scatter_rows<N: Size>(
    matrix: &mut Array<Vector<f32, N>>,
    rows: &Array<u32>,
    values: &Array<Vector<f32, N>>,
    verdict: &Array<f32>,
    columns: usize,
    work: usize,
    #[comptime] judged: bool,
) {
    if ABSOLUTE_POS < work && is_accepted(verdict, judged) {
        let row = rows[ABSOLUTE_POS / columns] as usize;
        matrix[row * columns + ABSOLUTE_POS % columns] = values[ABSOLUTE_POS];
    }
}
