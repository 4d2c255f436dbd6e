//! RMSNorm: one cube per row. The gradient of the weight sums columns in two stages, in a fixed order.

mod kernels;

use super::launch::Launch;
use super::tensors::{
    contiguous, cube_a_row, elementwise, empty, empty_like, rows_and_columns, vector_size,
};
use crate::kernels::{Kernels, RmsNormBackward};
use crate::operations::RmsNorm;
use crate::primitive::{primitive, tensor};
use burn::tensor::{DType, Tensor};
use kernels::{norm_rows, norm_rows_backward, sum_of_parts, weight_of_parts};

/// Minimal number of rows whose terms of the gradient of the weight one unit adds up.
const ROWS: usize = 32;
/// Maximal number of parts that the rows are divided into. The unit of the second stage adds up one sum per part.
const PARTS: usize = 128;

impl<B: Launch> RmsNorm<B> for Kernels {
    fn rms_norm(&self, x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
        let outputs = [(x.shape(), x.dtype())];
        let inputs = [primitive(x), primitive(weight)];
        let [y] = B::launch("rms_norm", inputs, outputs, move |inputs| {
            let [x, weight] = inputs.map(contiguous);
            let y = empty_like(&x);
            let [rows, columns] = rows_and_columns(&x);
            if rows * columns == 0 {
                return [y];
            }
            let client = x.client.clone();
            let size = vector_size(&client, columns);
            let (count, dim, units) = cube_a_row(&client, rows, columns / size);
            // SAFETY: cubes after the last row do nothing, and a unit stays within its row.
            unsafe {
                norm_rows::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    size,
                    x.into_array_arg(),
                    weight.into_array_arg(),
                    y.clone().into_array_arg(),
                    rows,
                    columns / size,
                    1.0 / columns as f32,
                    epsilon as f32,
                    units,
                );
            }
            [y]
        });
        tensor(y)
    }
}

impl<B: Launch> RmsNormBackward<B> for Kernels {
    fn rms_norm_backward(
        &self,
        x: Tensor<B, 2>,
        weight: Tensor<B, 1>,
        epsilon: f64,
        dy: Tensor<B, 2>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let outputs = [(x.shape(), x.dtype()), (weight.shape(), weight.dtype())];
        let inputs = [primitive(x), primitive(weight), primitive(dy)];
        let [dx, dweight] = B::launch("rms_norm_backward", inputs, outputs, move |inputs| {
            let [x, weight, dy] = inputs.map(contiguous);
            let [rows, columns] = rows_and_columns(&x);
            let (dx, dweight) = (empty_like(&x), empty_like(&weight));
            if columns == 0 {
                return [dx, dweight];
            }
            let client = x.client.clone();
            let inverses = empty(&x, [rows.max(1)], DType::F32);
            if rows > 0 {
                let size = vector_size(&client, columns);
                let (count, dim, units) = cube_a_row(&client, rows, columns / size);
                // SAFETY: cubes after the last row do nothing, and a unit stays within its row.
                unsafe {
                    norm_rows_backward::launch_unchecked::<B::Runtime>(
                        &client,
                        count,
                        dim,
                        size,
                        x.clone().into_array_arg(),
                        weight.into_array_arg(),
                        dy.clone().into_array_arg(),
                        dx.clone().into_array_arg(),
                        inverses.clone().into_array_arg(),
                        rows,
                        columns / size,
                        1.0 / columns as f32,
                        epsilon as f32,
                        units,
                    );
                }
            }
            let parts = rows.div_ceil(ROWS).clamp(1, PARTS);
            let sums = empty(&x, [parts, columns], DType::F32);
            let (count, dim) = elementwise(&client, parts * columns);
            // SAFETY: units after the last column of the last part do nothing.
            unsafe {
                weight_of_parts::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    x.into_array_arg(),
                    dy.into_array_arg(),
                    inverses.into_array_arg(),
                    sums.clone().into_array_arg(),
                    rows,
                    columns,
                    parts,
                    rows.div_ceil(parts),
                );
            }
            let (count, dim) = elementwise(&client, columns);
            // SAFETY: units after the last column do nothing.
            unsafe {
                sum_of_parts::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    sums.into_array_arg(),
                    dweight.clone().into_array_arg(),
                    parts,
                    columns,
                );
            }
            [dx, dweight]
        });
        (tensor(dx), tensor(dweight))
    }
}
