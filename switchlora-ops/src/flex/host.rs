//! The memory of a tensor as data of the host, without a copy.

use burn::tensor::{AllocationProperty, Bytes, TensorData};
use burn_flex::FlexTensor;
use std::sync::Arc;

/// What a tensor has its elements in.
struct Elements(Arc<Bytes>);

impl AsRef<[u8]> for Elements {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The data of `tensor`, if its elements are all of its memory and in their order. Both share the memory.
pub(crate) fn shared(tensor: &FlexTensor) -> Option<TensorData> {
    let layout = tensor.layout();
    let whole = layout.is_contiguous()
        && layout.start_offset() == 0
        && tensor.bytes().len() == layout.num_elements() * tensor.dtype().size();
    whole.then(|| {
        let elements = bytes::Bytes::from_owner(Elements(tensor.data_arc()));
        TensorData {
            bytes: Bytes::from_shared(elements, AllocationProperty::Native),
            shape: layout.shape().clone(),
            dtype: tensor.dtype(),
        }
    })
}
