//! SwiGLU: one pass forward and one pass backward.

use super::launch::Launch;
use super::tensors::{contiguous, elementwise, empty_like, rows_and_columns, vector_size};
use crate::kernels::{Kernels, SwiGluBackward};
use crate::operations::SwiGlu;
use crate::primitive::{primitive, tensor};
use burn::tensor::Tensor;
use cubecl::prelude::*;

impl<B: Launch> SwiGlu<B> for Kernels {
    fn swiglu(&self, gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
        let outputs = [(gate.shape(), gate.dtype())];
        let inputs = [gate, up].map(primitive);
        let [y] = B::launch("swiglu", inputs, outputs, |inputs| {
            let [gate, up] = inputs.map(contiguous);
            let y = empty_like(&gate);
            let [rows, columns] = rows_and_columns(&gate);
            let client = gate.client.clone();
            let size = vector_size(&client, columns);
            let work = rows * columns / size;
            if work > 0 {
                let (count, dim) = elementwise(&client, work);
                // SAFETY: units after the end do nothing, and all three have `work` vectors.
                unsafe {
                    gated::launch_unchecked::<B::Runtime>(
                        &client,
                        count,
                        dim,
                        size,
                        gate.into_array_arg(),
                        up.into_array_arg(),
                        y.clone().into_array_arg(),
                        work,
                    );
                }
            }
            [y]
        });
        tensor(y)
    }
}

impl<B: Launch> SwiGluBackward<B> for Kernels {
    fn swiglu_backward(
        &self,
        gate: Tensor<B, 2>,
        up: Tensor<B, 2>,
        dy: Tensor<B, 2>,
    ) -> [Tensor<B, 2>; 2] {
        let outputs = [&gate, &up].map(|like| (like.shape(), like.dtype()));
        let inputs = [gate, up, dy].map(primitive);
        let gradients = B::launch("swiglu_backward", inputs, outputs, |inputs| {
            let [gate, up, dy] = inputs.map(contiguous);
            let (dgate, dup) = (empty_like(&gate), empty_like(&up));
            let [rows, columns] = rows_and_columns(&gate);
            let client = gate.client.clone();
            let size = vector_size(&client, columns);
            let work = rows * columns / size;
            if work > 0 {
                let (count, dim) = elementwise(&client, work);
                // SAFETY: units after the end do nothing, and all five have `work` vectors.
                unsafe {
                    gated_backward::launch_unchecked::<B::Runtime>(
                        &client,
                        count,
                        dim,
                        size,
                        gate.into_array_arg(),
                        up.into_array_arg(),
                        dy.into_array_arg(),
                        dgate.clone().into_array_arg(),
                        dup.clone().into_array_arg(),
                        work,
                    );
                }
            }
            [dgate, dup]
        });
        gradients.map(tensor)
    }
}

#[cube(launch_unchecked)]
fn gated<N: Size>(
    gate: &Array<Vector<f32, N>>,
    up: &Array<Vector<f32, N>>,
    y: &mut Array<Vector<f32, N>>,
    work: usize,
) {
    if ABSOLUTE_POS < work {
        let value = gate[ABSOLUTE_POS];
        y[ABSOLUTE_POS] = value * logistic::<N>(value) * up[ABSOLUTE_POS];
    }
}

#[cube(launch_unchecked)]
fn gated_backward<N: Size>(
    gate: &Array<Vector<f32, N>>,
    up: &Array<Vector<f32, N>>,
    dy: &Array<Vector<f32, N>>,
    dgate: &mut Array<Vector<f32, N>>,
    dup: &mut Array<Vector<f32, N>>,
    work: usize,
) {
    if ABSOLUTE_POS < work {
        let (value, slope) = (gate[ABSOLUTE_POS], dy[ABSOLUTE_POS]);
        let share = logistic::<N>(value);
        let one = Vector::<f32, N>::new(1.0f32);
        dgate[ABSOLUTE_POS] = slope * up[ABSOLUTE_POS] * share * (one + value * (one - share));
        dup[ABSOLUTE_POS] = slope * value * share;
    }
}

/// `1 / (1 + exp(-x))`. The exponent is at most 80, so that its power is finite; the result is zero beyond that anyway.
#[cube]
fn logistic<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let one = Vector::<f32, N>::new(1.0f32);
    let power = min(Vector::<f32, N>::new(0.0f32) - x, Vector::new(80.0f32));
    one / (one + Vector::<f32, N>::exp(power))
}
