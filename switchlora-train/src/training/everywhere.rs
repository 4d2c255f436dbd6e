//! The losses and the gradients of all processes.

use super::each::{EachGradient, Places};
use crate::processes::{Lost, Processes, gather, reduce};
use burn::module::{AutodiffModule, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData, Transaction};
use switchlora_core::Precision;

/// Values that are exchanged together: few large messages, and the host holds no copy of all gradients.
const BUCKET: usize = 1 << 23;

/// The losses of the micro-batches of all processes in their order, of which `own` are this process's, `[micro-batches]`, and
/// the number of their tokens, of which this process has `tokens`.
///
/// # Errors
///
/// [`Lost`] if another process is.
pub(super) fn losses_everywhere<B: Backend>(
    own: Tensor<B, 1>,
    tokens: u64,
    processes: &dyn Processes,
) -> Result<(Tensor<B, 1>, u64), Lost> {
    if processes.size() == 1 {
        return Ok((own, tokens));
    }
    let device = own.device();
    let own: Vec<f32> = own.into_data().iter::<f32>().collect();
    let answer = [&tokens.to_le_bytes(), bytemuck::cast_slice(&own)].concat();
    let (mut losses, mut tokens) = (Vec::<f32>::new(), 0);
    for answer in gather(processes, answer)? {
        if let Some((count, own)) = answer.split_first_chunk() {
            tokens += u64::from_le_bytes(*count);
            losses.extend(bytemuck::pod_collect_to_vec::<u8, f32>(own));
        }
    }
    Ok((Tensor::from_data(losses.as_slice(), &device), tokens))
}

/// Sums the gradients of all processes, in the order of the walk. Only what is trained has gradients, and only gradients are
/// sent.
///
/// # Errors
///
/// [`Lost`] if another process is.
pub(super) fn sum_everywhere<B: AutodiffBackend, M: AutodiffModule<B>>(
    gradients: GradientsParams,
    places: &Places<'_, M>,
    processes: &dyn Processes,
    dtype: Precision,
) -> Result<GradientsParams, Lost> {
    if processes.size() == 1 {
        return Ok(gradients);
    }
    let mut sum = Sum::<B> {
        gradients,
        processes,
        dtype,
        bucket: Bucket::default(),
        lost: None,
    };
    places.visit(&mut sum);
    sum.exchange();
    sum.lost.map_or(Ok(sum.gradients), Err)
}

/// Puts the sum of a parameter's gradient where its gradient was.
pub(super) type PutBack<Device> = Box<dyn FnOnce(TensorData, &mut GradientsParams, &Device)>;

/// Gradients that are exchanged together.
struct Bucket<B: Backend> {
    read: Transaction<B>,
    put_back: Vec<(PutBack<B::Device>, B::Device)>,
    values: usize,
}

impl<B: Backend> Default for Bucket<B> {
    fn default() -> Self {
        Self {
            read: Transaction::default(),
            put_back: Vec::new(),
            values: 0,
        }
    }
}

struct Sum<'a, B: AutodiffBackend> {
    gradients: GradientsParams,
    processes: &'a dyn Processes,
    dtype: Precision,
    bucket: Bucket<B::InnerBackend>,
    lost: Option<Lost>,
}

impl<B: AutodiffBackend> Sum<'_, B> {
    /// Exchanges what the bucket holds.
    fn exchange(&mut self) {
        let bucket = std::mem::take(&mut self.bucket);
        if self.lost.is_some() || bucket.values == 0 {
            return;
        }
        let read = bucket.read.execute();
        let shapes: Vec<_> = read.iter().map(|data| data.shape.clone()).collect();
        let mut values = Vec::with_capacity(bucket.values);
        for data in read {
            match data.as_slice() {
                Ok(numbers) => values.extend_from_slice(numbers),
                Err(_) => values.extend(data.iter::<f32>()),
            }
        }
        if let Err(lost) = reduce(self.processes, &mut values, self.dtype) {
            self.lost = Some(lost);
            return;
        }
        let mut rest = values.as_slice();
        for ((put_back, device), shape) in bucket.put_back.into_iter().zip(shapes) {
            let (own, after) = rest.split_at(shape.num_elements());
            rest = after;
            let data = TensorData::new(own.to_vec(), shape);
            put_back(data, &mut self.gradients, &device);
        }
    }
}

impl<B: AutodiffBackend> EachGradient for Sum<'_, B> {
    fn each<const D: usize>(&mut self, id: ParamId) {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(id) else {
            return;
        };
        let (length, device) = (gradient.shape().num_elements(), gradient.device());
        if self.bucket.values > 0 && self.bucket.values + length > BUCKET {
            self.exchange();
        }
        let bucket = &mut self.bucket;
        bucket.values += length;
        let read = std::mem::take(&mut bucket.read);
        bucket.read = read.register(gradient);
        bucket
            .put_back
            .push((put_back::<B::InnerBackend, D>(id), device));
    }
}

/// Puts the sum of the gradient with this id in its place.
pub(super) fn put_back<B: Backend, const D: usize>(id: ParamId) -> PutBack<B::Device> {
    Box::new(move |data, gradients, device| {
        gradients.register(id, Tensor::<B, D>::from_data(data, device));
    })
}
