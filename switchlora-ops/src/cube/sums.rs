//! Sums over all elements, in a fixed order: the same bits in every run.

use super::launch::Launch;
use super::reduce::{sum_of_cube, sum_of_vector};
use super::tensors::{UNITS, contiguous, empty, owned, vector_size};
use crate::kernels::Kernels;
use crate::operations::SumOfSquares;
use crate::primitive::{primitive, tensor};
use burn::tensor::{DType, Shape, Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Minimal number of vectors per unit, before there are more cubes. Not measured on a GPU.
const EACH: usize = 16;
/// Elements of the largest vector.
const LARGEST_VECTOR: usize = 4;
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

    fn sum_of_all_squares(&self, all: Vec<Tensor<B, 2>>) -> Tensor<B, 1> {
        let cubes: Vec<usize> = all
            .iter()
            .map(|x| cubes(x.shape().num_elements()))
            .collect();
        let total = cubes.iter().sum::<usize>();
        let device = all[0].device();
        let mut sums = Tensor::<B, 1>::empty([total], (&device, DType::F32));
        let mut from = 0;
        for (x, cubes) in all.into_iter().zip(cubes) {
            let inputs = [primitive(sums), primitive(x)];
            let outputs = [(Shape::from([total]), DType::F32)];
            let [next] = B::launch("squares_into", inputs, outputs, move |[sums, x]| {
                let sums = owned(sums);
                sum_into(contiguous(x), &sums, from, cubes, true, 1.0);
                [sums]
            });
            sums = tensor(next);
            from += cubes;
        }
        let outputs = [(Shape::from([1]), DType::F32)];
        let [sum] = B::launch("sum", [primitive(sums)], outputs, |[sums]| {
            [sum(contiguous(sums), false, 1.0)]
        });
        tensor(sum)
    }
}

/// The number of cubes that add up so many elements.
fn cubes(elements: usize) -> usize {
    elements
        .div_ceil(UNITS as usize * EACH * LARGEST_VECTOR)
        .clamp(1, CUBES)
}

/// `factor` times the sum of all elements of `x`, or of their squares, `[1]`.
pub(super) fn sum<R: CubeRuntime>(x: CubeTensor<R>, squares: bool, factor: f32) -> CubeTensor<R> {
    let cubes = cubes(x.shape().num_elements());
    let sums = empty(&x, [cubes], DType::F32);
    sum_into(x, &sums, 0, cubes, squares, factor);
    match cubes {
        1 => sums,
        _ => sum(sums, false, 1.0),
    }
}

/// Writes the sums of `cubes` parts of `x` to `sums`, from the position `from` on.
fn sum_into<R: CubeRuntime>(
    x: CubeTensor<R>,
    sums: &CubeTensor<R>,
    from: usize,
    cubes: usize,
    squares: bool,
    factor: f32,
) {
    let client = x.client.clone();
    let elements = x.shape().num_elements();
    let size = vector_size(&client, elements);
    // SAFETY: units stay below the number of vectors, and `sums` has a place for each cube.
    unsafe {
        sum_by_cube::launch_unchecked::<R>(
            &client,
            CubeCount::new_1d(cubes as u32),
            CubeDim::new_1d(UNITS),
            size,
            x.into_array_arg(),
            sums.clone().into_array_arg(),
            elements / size,
            cubes * UNITS as usize,
            from,
            factor,
            squares,
        );
    }
}

/// One sum per cube, to `sums` from the position `from` on. Each unit adds up every `step`-th vector.
#[cube(launch_unchecked)]
fn sum_by_cube<N: Size>(
    x: &Array<Vector<f32, N>>,
    sums: &mut Array<f32>,
    work: usize,
    step: usize,
    from: usize,
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
        sums[from + CUBE_POS] = sum * factor;
    }
}
