//! Reading tensors to the host, all at once.

use crate::registry::shares_host_memory;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, Transaction};

/// Tensors that are read to the host together, as by Burn's [`Transaction`], but without a copy on Flex.
///
/// Flex has its tensors in the host's memory, so what is read is that memory itself: as long as the data lives, the tensor
/// shares it, and whoever then writes to the tensor in place writes to a copy instead. So a state of many tensors is read in
/// no time and in no memory, and costs a copy only of what changes before its data is dropped.
///
/// ```
/// use burn::tensor::Tensor;
/// use burn_flex::Flex;
/// use switchlora_ops::HostRead;
///
/// let weight = Tensor::<Flex, 2>::ones([3, 5], &Default::default());
/// let bias = Tensor::<Flex, 1>::zeros([5], &Default::default());
/// let read = HostRead::default().register(weight).register(bias).execute();
/// assert_eq!(read[0].shape.to_vec(), [3, 5]);
/// assert_eq!(read[1].to_vec::<f32>().unwrap(), [0.0; 5]);
/// ```
pub struct HostRead<B: Backend> {
    /// Those that have to be copied.
    copied: Transaction<B>,
    /// In the order of registration; `None` for those that have to be copied.
    read: Vec<Option<TensorData>>,
}

impl<B: Backend> Default for HostRead<B> {
    fn default() -> Self {
        Self {
            copied: Transaction::default(),
            read: Vec::new(),
        }
    }
}

impl<B: Backend> HostRead<B> {
    /// Adds a tensor to those that are read.
    pub fn register<const D: usize>(mut self, tensor: Tensor<B, D>) -> Self {
        let shared = shares_host_memory(&tensor.clone().into_primitive().tensor());
        if shared.is_none() {
            self.copied = self.copied.register(tensor);
        }
        self.read.push(shared);
        self
    }

    /// The data of each tensor, in the order in which they were registered.
    pub fn execute(self) -> Vec<TensorData> {
        // CubeCL backends panic on a transaction without tensors.
        let copied = match self.read.iter().all(Option::is_some) {
            true => Vec::new(),
            false => self.copied.execute(),
        };
        let mut copied = copied.into_iter();
        let all = self.read.into_iter().map(|shared| {
            shared
                .or_else(|| copied.next())
                .expect("a transaction reads every tensor that is registered")
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "flex")]
    use crate::primitive::primitive;
    use burn_ndarray::NdArray;

    fn data<B: Backend>(rows: usize, columns: usize) -> Tensor<B, 2> {
        let numbers: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        Tensor::from_data(
            TensorData::new(numbers, [rows, columns]),
            &Default::default(),
        )
    }

    fn all_of<B: Backend>() {
        let matrix = data::<B>(3, 4);
        let vector = matrix.clone().slice([1..2, 1..4]).reshape([3]);
        let turned = matrix.clone().transpose();
        let read = HostRead::default()
            .register(matrix.clone())
            .register(vector.clone())
            .register(turned.clone())
            .execute();
        assert_eq!(
            read,
            [matrix.into_data(), vector.into_data(), turned.into_data()]
        );
        assert!(HostRead::<B>::default().execute().is_empty());
    }

    #[test]
    fn what_is_read_is_the_data_of_the_tensors_in_their_order() {
        all_of::<NdArray>();
        #[cfg(feature = "flex")]
        all_of::<burn_flex::Flex>();
    }

    #[cfg(feature = "flex")]
    #[test]
    fn what_is_read_shares_memory_until_the_tensor_is_written_to_and_keeps_its_values() {
        let matrix = data::<burn_flex::Flex>(3, 4);
        let address = |tensor: &Tensor<burn_flex::Flex, 2>| {
            primitive(tensor.clone()).bytes().as_ptr() as usize
        };
        let read = HostRead::default().register(matrix.clone()).execute();
        assert_eq!(read[0].as_bytes().as_ptr() as usize, address(&matrix));
        let before = read[0].to_vec::<f32>().unwrap();
        let zeros = Tensor::zeros([1, 4], &Default::default());
        let written = crate::scatter_rows(matrix, &[1], zeros, None);
        assert_eq!(read[0].to_vec::<f32>().unwrap(), before);
        assert_ne!(written.to_data().to_vec::<f32>().unwrap(), before);
        // Nobody else has the memory any more: the next write is in place.
        drop(read);
        let place = address(&written);
        let ones = Tensor::ones([1, 4], &Default::default());
        assert_eq!(
            address(&crate::scatter_rows(written, &[2], ones, None)),
            place
        );
    }

    #[cfg(feature = "flex")]
    #[test]
    fn a_tensor_made_of_what_was_read_can_be_written_to_and_changes_nothing_else() {
        let matrix = data::<burn_flex::Flex>(3, 4);
        let read = HostRead::default().register(matrix.clone()).execute();
        let copy = Tensor::from_data(read.into_iter().next().unwrap(), &Default::default());
        let zeros = Tensor::zeros([1, 4], &Default::default());
        let written: Tensor<burn_flex::Flex, 2> = crate::scatter_rows(copy, &[0], zeros, None);
        assert_eq!(
            written.to_data().to_vec::<f32>().unwrap()[..5],
            [0., 0., 0., 0., 4.]
        );
        assert_eq!(matrix.to_data().to_vec::<f32>().unwrap()[1], 1.0);
    }
}
