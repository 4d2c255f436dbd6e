//! Sums over all elements, in a fixed order: the same bits in every run.

use super::launch::Launch;
use super::reduce::{sum_of_cube, sum_of_vector};
use super::tensors::{UNITS, contiguous, empty, vector_size};
use crate::kernels::Kernels;
use crate::operations::SumOfSquares;
use crate::primitive::{primitive, tensor};
use burn::tensor::{DType, Shape, Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Minimal number of vectors per unit, before there are more cubes. Not measured on a GPU.
const EACH: usize = 16;
/// Maximal number of cubes. One more cube adds up their sums.
const CUBES: usize = 512;

impl<B: Launch> SumOfSquares<B> for Kernels {
    fn sum_of_squares(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
        let outputs = [(Shape::from([1]), x.dtype())];
        let [sum] = B::launch("sum_of_squares", [primitive(x)], outputs, |[x]| {
            [sum(contiguous(x), true, 1.0)]
        });
        tensor(sum)
    }
}

/// `factor` times the sum of all elements of `x`, or of their squares, `[1]`.
pub(super) fn sum<R: CubeRuntime>(x: CubeTensor<R>, squares: bool, factor: f32) -> CubeTensor<R> {
    let client = x.client.clone();
    let elements = x.shape().num_elements();
    let size = vector_size(&client, elements);
    let work = elements / size;
    let cubes = work.div_ceil(UNITS as usize * EACH).clamp(1, CUBES);
    let sums = empty(&x, [cubes], DType::F32);
    // SAFETY: units stay below `work`.
    unsafe {
        sum_by_cube::launch_unchecked::<R>(
            &client,
            CubeCount::new_1d(cubes as u32),
            CubeDim::new_1d(UNITS),
            size,
            x.into_array_arg(),
            sums.clone().into_array_arg(),
            work,
            cubes * UNITS as usize,
            factor,
            squares,
        );
    }
    match cubes {
        1 => sums,
        _ => sum(sums, false, 1.0),
    }
}

/// One sum per cube. Each unit adds up every `step`-th vector.
#[cube(launch_unchecked)]
fn sum_by_cube<N: Size>(
    x: &Array<Vector<f32, N>>,
    sums: &mut Array<f32>,
    work: usize,
    step: usize,
    factor: f32,
    #[comptime] squares: bool,
) {
    let units = comptime!(UNITS as usize);
    let mut room = SharedMemory::<f32>::new(units);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut at = ABSOLUTE_POS;
    while at < work {
        let value = x[at];
        if comptime!(squares) {
            sum += value * value;
        } else {
            sum += value;
        }
        at += step;
    }
    let sum = sum_of_cube(sum_of_vector::<N>(sum), &mut room, units);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = sum * factor;
    }
}
