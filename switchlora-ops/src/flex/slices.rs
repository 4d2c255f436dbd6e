//! Between Flex's tensors and slices.

use super::matrix::Matrix;
use super::thin;
use burn::tensor::ops::FloatTensorOps;
use burn::tensor::{Bytes, DType, FloatDType, Shape};
use burn_flex::{Flex, FlexTensor, Layout};

/// `tensor` with its elements one after the other; itself if they are.
pub(super) fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    match tensor.is_contiguous() {
        true => tensor.clone(),
        false => tensor.to_contiguous(),
    }
}

/// `tensor` in f32 with its elements one after the other; itself if it is.
pub(super) fn in_f32(tensor: &FlexTensor) -> FlexTensor {
    match tensor.dtype() {
        DType::F32 => contiguous(tensor),
        DType::BF16 => {
            let tensor = contiguous(tensor);
            let elements = tensor.as_slice().expect("a contiguous tensor of bf16");
            fresh(thin::widened(elements), tensor.layout().shape().clone())
        }
        _ => contiguous(&Flex::float_cast(tensor.clone(), FloatDType::F32)),
    }
}

/// `tensor` as the whole of its buffer, so that `storage_mut` is its elements: in place if nobody else holds it.
pub(super) fn owned(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let whole = layout.is_contiguous()
        && layout.start_offset() == 0
        && tensor.bytes().len() == layout.num_elements() * tensor.dtype().size();
    match whole {
        true => tensor,
        false => tensor.to_contiguous(),
    }
}

/// The elements of a contiguous tensor of f32.
pub(super) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

/// A matrix where it lies, transposed or not.
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
        _ => unreachable!("matrices are never flipped: their owner makes them contiguous"),
    }
}

/// A matrix that [`matrix`] can look at: itself, unless it runs backwards.
pub(super) fn forwards(tensor: &FlexTensor) -> FlexTensor {
    match tensor.layout().strides().iter().all(|&stride| stride >= 0) {
        true => tensor.clone(),
        false => tensor.to_contiguous(),
    }
}

/// Rows and columns of a matrix.
pub(super) fn rows_and_columns(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1]]
}

/// A tensor of its own memory.
pub(super) fn fresh(elements: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(elements),
        Layout::contiguous(shape),
        DType::F32,
    )
}

/// Token ids of either width.
pub(super) fn indices(targets: &FlexTensor) -> Vec<usize> {
    let targets = contiguous(targets);
    match targets.dtype() {
        DType::I32 => indices_of::<i32>(&targets),
        DType::U32 => indices_of::<u32>(&targets),
        _ => indices_of::<i64>(&targets),
    }
}

fn indices_of<T>(targets: &FlexTensor) -> Vec<usize>
where
    T: burn::tensor::Element + bytemuck::Pod + TryInto<usize>,
{
    let ids = targets.as_slice::<T>().expect("contiguous token ids");
    // What is not a token is outside every vocabulary, where indexing says so.
    ids.iter()
        .map(|&id| id.try_into().unwrap_or(usize::MAX))
        .collect()
}
