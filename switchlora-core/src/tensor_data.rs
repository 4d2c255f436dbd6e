//! Checks of what a file says about tensors, before Burn takes it for granted.

use burn::module::ParamId;
use burn::tensor::{DType, TensorData};

/// Whether there are as many bytes as the shape asks for.
pub(crate) fn is_whole(data: &TensorData) -> bool {
    let mut sizes = data.shape.iter();
    let number = sizes.try_fold(1usize, |number, &size| number.checked_mul(size));
    let bytes = number.and_then(|number| number.checked_mul(data.dtype.size()));
    matches!(data.dtype, DType::QFloat(_)) || bytes == Some(data.bytes.len())
}

/// The id that a text stands for. A longer text than that of eight bytes makes Burn panic, unless it is a UUID.
pub(crate) fn param_id(text: &str) -> Option<ParamId> {
    match text.len() <= 13 || text.contains('-') {
        true => ParamId::try_deserialize(text),
        false => None,
    }
}
