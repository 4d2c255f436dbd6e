//! Conversion between tensors of Flex and slices.

use super::matrix::Matrix;
use super::thin;
use crate::primitive::{primitive, tensor};
use burn::tensor::ops::FloatTensorOps;
use burn::tensor::{Bytes, DType, Element, FloatDType, Int, IntDType, Shape, Tensor};
use burn_flex::{Flex, FlexTensor, Layout};

/// `tensor` with contiguous elements. Copies only if they are not.
pub(super) fn contiguous<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    in_order(primitive(tensor))
}

fn in_order(tensor: FlexTensor) -> FlexTensor {
    match tensor.is_contiguous() {
        true => tensor,
        false => tensor.to_contiguous(),
    }
}

/// `tensor` in f32 with contiguous elements. Copies only if it has another dtype or layout.
pub(super) fn in_f32(tensor: Tensor<Flex, 2>) -> FlexTensor {
    let tensor = primitive(tensor);
    match tensor.dtype() {
        DType::F32 => in_order(tensor),
        DType::BF16 => {
            let shape = rows_and_columns(&tensor);
            let tensor = in_order(tensor);
            let elements = tensor.as_slice().expect("a contiguous tensor of bf16");
            primitive(fresh(thin::widened(elements), shape))
        }
        _ => in_order(Flex::float_cast(tensor, FloatDType::F32)),
    }
}

/// `tensor` as the whole of its buffer, so that `storage_mut` is its elements, in place if no other tensor shares it.
pub(super) fn owned(tensor: Tensor<Flex, 2>) -> FlexTensor {
    let tensor = primitive(tensor);
    match is_whole(&tensor) {
        true => tensor,
        false => tensor.to_contiguous(),
    }
}

/// Whether the elements of `tensor` are all of its buffer, in their order.
pub(super) fn is_whole(tensor: &FlexTensor) -> bool {
    let layout = tensor.layout();
    layout.is_contiguous()
        && layout.start_offset() == 0
        && tensor.bytes().len() == layout.num_elements() * tensor.dtype().size()
}

/// The elements of a contiguous tensor of f32.
pub(super) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

/// The value of a tensor `[1]` of f32.
pub(super) fn scalar(tensor: Tensor<Flex, 1>) -> f32 {
    slice(&contiguous(tensor))[0]
}

/// Whether a verdict refuses an update: it is negative or NaN.
pub(super) fn refuses(verdict: f32) -> bool {
    verdict.is_nan() || verdict < 0.0
}

/// A view of a matrix of f32, which may be transposed.
pub(super) fn matrix(tensor: &FlexTensor) -> Matrix<'_> {
    let layout = tensor.layout();
    let (&[row_stride, column_stride], [rows, columns]) =
        (layout.strides(), rows_and_columns(tensor))
    else {
        unreachable!("a matrix has two strides")
    };
    match (usize::try_from(row_stride), usize::try_from(column_stride)) {
        (Ok(row_stride), Ok(column_stride)) => Matrix {
            data: &tensor.storage()[layout.start_offset()..],
            rows,
            columns,
            row_stride,
            column_stride,
        },
        _ => unreachable!("no matrix has negative strides: `forwards` copies those"),
    }
}

/// `tensor` without negative strides and without those of 0 of a broadcast tensor, as [`matrix`] needs it. Copies only if
/// it has some.
pub(super) fn forwards(tensor: Tensor<Flex, 2>) -> FlexTensor {
    let tensor = primitive(tensor);
    match tensor.layout().strides().iter().all(|&stride| stride > 0) {
        true => tensor,
        false => tensor.to_contiguous(),
    }
}

/// Rows and columns of a matrix.
pub(super) fn rows_and_columns(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1]]
}

/// A tensor with its own memory.
pub(super) fn fresh<const D: usize>(elements: Vec<f32>, shape: [usize; D]) -> Tensor<Flex, D> {
    let (bytes, layout) = (Bytes::from_elems(elements), Shape::from(shape));
    tensor(FlexTensor::new(
        bytes,
        Layout::contiguous(layout),
        DType::F32,
    ))
}

/// Token ids, stored as integers of any width.
pub(super) fn indices(tokens: Tensor<Flex, 1, Int>) -> Vec<usize> {
    let tokens = match tokens.dtype() {
        DType::I32 | DType::U32 | DType::I64 => tokens,
        _ => tokens.cast(IntDType::I64),
    };
    let tokens = in_order(tokens.into_primitive());
    match tokens.dtype() {
        DType::I32 => indices_of::<i32>(&tokens),
        DType::U32 => indices_of::<u32>(&tokens),
        _ => indices_of::<i64>(&tokens),
    }
}

fn indices_of<T: Element + bytemuck::Pod + TryInto<usize>>(tokens: &FlexTensor) -> Vec<usize> {
    let ids = tokens.as_slice::<T>().expect("contiguous token ids");
    // A negative id is outside of every vocabulary, where indexing panics.
    ids.iter()
        .map(|&id| id.try_into().unwrap_or(usize::MAX))
        .collect()
}
