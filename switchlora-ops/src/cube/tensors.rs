//! Memory for kernels, and the number of units that work on it.

use burn::tensor::{DType, Shape, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;
use cubecl::server::CubeCountSelection;

/// Units per cube of an elementwise kernel. Every device supports this many.
pub(super) const UNITS: u32 = 256;
/// Minimal number of elements per unit, before a cube gets more units. Not measured on a GPU.
const EACH: usize = 4;

/// `tensor` with contiguous elements.
pub(super) fn contiguous<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    into_contiguous(tensor)
}

/// `tensor`, or a copy if another tensor shares its memory: contiguous and safe to write to.
pub(super) fn owned<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    let tensor = contiguous(tensor);
    match tensor.can_mut() {
        true => tensor,
        // A copy of Burn may have gaps between rows.
        false => contiguous(tensor.copy()),
    }
}

/// A new tensor with undefined values.
pub(super) fn empty<R: CubeRuntime>(
    beside: &CubeTensor<R>,
    shape: impl Into<Shape>,
    dtype: DType,
) -> CubeTensor<R> {
    let (client, device) = (beside.client.clone(), beside.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), dtype)
}

/// A new tensor with the shape and dtype of `tensor` and undefined values.
pub(super) fn empty_like<R: CubeRuntime>(tensor: &CubeTensor<R>) -> CubeTensor<R> {
    empty(tensor, tensor.shape(), tensor.dtype)
}

/// Rows and columns of a matrix.
pub(super) fn rows_and_columns<R: CubeRuntime>(matrix: &CubeTensor<R>) -> [usize; 2] {
    matrix.shape().dims()
}

/// Number of elements of a row that a unit reads and writes at once.
pub(super) fn vector_size<R: CubeRuntime>(client: &ComputeClient<R>, columns: usize) -> usize {
    let sizes = client.io_optimized_vector_sizes(size_of::<f32>());
    let sizes = sizes.filter(|size| columns.is_multiple_of(*size));
    sizes.max().unwrap_or(1)
}

/// Cubes of [`UNITS`] units for `work` units in all.
pub(super) fn elementwise<R: CubeRuntime>(
    client: &ComputeClient<R>,
    work: usize,
) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(UNITS);
    (calculate_cube_count_elemwise(client, work, dim), dim)
}

/// One cube per row, and the number of units per cube for `columns` elements, a power of two.
pub(super) fn cube_a_row<R: CubeRuntime>(
    client: &ComputeClient<R>,
    rows: usize,
    columns: usize,
) -> (CubeCount, CubeDim, usize) {
    let units = (columns / EACH)
        .next_power_of_two()
        .clamp(32, UNITS as usize);
    let count = CubeCountSelection::new(client, rows as u32).cube_count();
    (count, CubeDim::new_1d(units as u32), units)
}

/// Whether a verdict, if there is one, lets an update happen: it is neither negative nor NaN.
#[cube]
pub(super) fn is_accepted(verdict: &Array<f32>, #[comptime] judged: bool) -> bool {
    let mut accepted = true;
    if comptime!(judged) {
        accepted = verdict[0] >= 0.0;
    }
    accepted
}
