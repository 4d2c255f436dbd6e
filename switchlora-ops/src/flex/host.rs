//! The memory of a tensor as data of the host, without a copy.

use super::slices::is_whole;
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
    is_whole(tensor).then(|| {
        let elements = bytes::Bytes::from_owner(Elements(tensor.data_arc()));
        TensorData {
            bytes: Bytes::from_shared(elements, AllocationProperty::Native),
            shape: tensor.layout().shape().clone(),
            dtype: tensor.dtype(),
        }
    })
}
