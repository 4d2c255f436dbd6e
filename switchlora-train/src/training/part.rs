//! An update of which each process makes a part: the gradients go to the [owners](Owners) of their parameters, and the
//! parameters come from them.

use super::each::{EachGradient, Places};
use super::everywhere::{PutBack, put_back};
use super::numbers::{Cut, Numbers, send_tensors};
use super::owners::Owners;
use crate::processes::{Lost, Processes, To, gather, sum_streams};
use burn::module::{AutodiffModule, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use std::collections::HashMap;
use switchlora_core::{Precision, gradient_squares};

/// The gradients of an update that belong to this process.
pub(super) struct Part {
    /// Those of its own parameters, summed over all processes.
    pub gradients: GradientsParams,
    /// The owner of each gradient of the update, in the order of the walk.
    order: Vec<usize>,
}

impl Part {
    /// The part with its gradients changed.
    pub fn map(self, change: impl FnOnce(GradientsParams) -> GradientsParams) -> Self {
        Self {
            gradients: change(self.gradients),
            ..self
        }
    }
}

/// Sums the gradients of all processes, each those of its own parameters, and lets go of the others.
///
/// # Errors
///
/// [`Lost`] if another process is.
pub(super) fn sum_of_own<B: AutodiffBackend, M: AutodiffModule<B>>(
    gradients: GradientsParams,
    places: &Places<'_, M>,
    owners: &Owners,
    processes: &dyn Processes,
    dtype: Precision,
) -> Result<Part, Lost> {
    let mut walk = Gradients::<B> {
        gradients,
        owners,
        me: processes.rank(),
        streams: (0..processes.size()).map(|_| Vec::new()).collect(),
        own: Vec::new(),
        order: Vec::new(),
    };
    places.visit(&mut walk);
    let Gradients {
        streams,
        own,
        order,
        ..
    } = walk;
    let length = |stream: &Vec<Tensor<_, 1>>| stream.iter().map(|flat| flat.dims()[0]).sum();
    let lengths: Vec<usize> = streams.iter().map(length).collect();
    let mut streams: Vec<_> = (streams.into_iter())
        .map(|stream| Numbers::new(stream, Tensor::into_data))
        .collect();
    let mut sums = Cut::new(own.iter().map(|own| own.shape.clone()));
    sum_streams(
        processes,
        &lengths,
        dtype,
        |rank, count| streams[rank].next(count),
        |sum| sums.take(sum),
    )?;
    let mut gradients = GradientsParams::new();
    for (own, sum) in own.into_iter().zip(sums.tensors) {
        (own.put_back)(sum, &mut gradients, &own.device);
    }
    Ok(Part { gradients, order })
}

/// The sum of squares of each gradient of the update, `[gradients]`, in the order of the walk.
///
/// # Errors
///
/// [`Lost`] if another process is.
pub(super) fn squares_everywhere<B: AutodiffBackend, M: AutodiffModule<B>>(
    part: &Part,
    module: &M,
    processes: &dyn Processes,
    device: &B::Device,
) -> Result<Tensor<B::InnerBackend, 1>, Lost> {
    let own = gradient_squares::<M, B>(module, &part.gradients);
    let own: Vec<f32> = match own.is_empty() {
        true => Vec::new(),
        false => Tensor::cat(own, 0).into_data().iter().collect(),
    };
    let all = gather(processes, bytemuck::cast_slice(&own).to_vec())?;
    let mut all: Vec<_> = (all.iter())
        .map(|bytes| bytemuck::pod_collect_to_vec::<u8, f32>(bytes).into_iter())
        .collect();
    // A process that sent too few would be a fault of the program: such an update is refused.
    let next = |&owner: &usize| all[owner].next().unwrap_or(f32::NAN);
    let squares: Vec<f32> = part.order.iter().map(next).collect();
    Ok(Tensor::from_data(squares.as_slice(), device))
}

/// Sends the parameters that this process owns to the others, and returns `module` with those that the others own, or as it
/// was if another process is lost.
pub(super) fn exchange_parameters<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: M,
    owners: &Owners,
    processes: &dyn Processes,
) -> (M, Result<(), Lost>) {
    match others_parameters::<B, M>(&module, owners, processes) {
        Ok(arrived) => (module.map(&mut Replace(arrived)), Ok(())),
        Err(lost) => (module, Err(lost)),
    }
}

/// What the others sent of their parameters, by parameter.
fn others_parameters<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    owners: &Owners,
    processes: &dyn Processes,
) -> Result<HashMap<ParamId, TensorData>, Lost> {
    let (me, size) = (processes.rank(), processes.size());
    let mut walk = Parameters::<B> {
        owners,
        me,
        own: Vec::new(),
        streams: (0..size).map(|_| Stream::default()).collect(),
    };
    module.visit(&mut walk);
    let Parameters { own, streams, .. } = walk;
    let (ids, shapes): (Vec<_>, Vec<_>) = (streams.into_iter())
        .map(|stream| (stream.ids, stream.shapes))
        .unzip();
    let arrived = send_tensors(processes, To::All, own, Tensor::into_data, &shapes)?;
    let arrived = ids.into_iter().zip(arrived);
    Ok(arrived
        .flat_map(|(ids, tensors)| ids.into_iter().zip(tensors))
        .collect())
}

/// A gradient that this process sums.
struct Own<B: AutodiffBackend> {
    shape: Vec<usize>,
    put_back: PutBack<B::Device>,
    device: B::Device,
}

/// Puts the gradients into the streams of their owners.
struct Gradients<'a, B: AutodiffBackend> {
    gradients: GradientsParams,
    owners: &'a Owners,
    me: usize,
    streams: Vec<Vec<Tensor<B::InnerBackend, 1>>>,
    own: Vec<Own<B>>,
    order: Vec<usize>,
}

impl<B: AutodiffBackend> EachGradient for Gradients<'_, B> {
    fn each<const D: usize>(&mut self, id: ParamId) {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(id) else {
            return;
        };
        let Some(owner) = self.owners.owner(id) else {
            return;
        };
        self.order.push(owner);
        if owner == self.me {
            self.own.push(Own {
                shape: gradient.dims().to_vec(),
                put_back: put_back::<B::InnerBackend, D>(id),
                device: gradient.device(),
            });
        }
        let length = gradient.shape().num_elements();
        self.streams[owner].push(gradient.reshape([length]));
    }
}

/// The parameters of one owner, in the order of the walk.
#[derive(Default)]
struct Stream {
    ids: Vec<ParamId>,
    shapes: Vec<Vec<usize>>,
}

/// Finds the parameters that have an owner, and the numbers of this process's own.
struct Parameters<'a, B: AutodiffBackend> {
    owners: &'a Owners,
    me: usize,
    own: Vec<Tensor<B::InnerBackend, 1>>,
    streams: Vec<Stream>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Parameters<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(owner) = self.owners.owner(param.id) else {
            return;
        };
        let value = param.val().inner();
        let stream = &mut self.streams[owner];
        stream.ids.push(param.id);
        stream.shapes.push(value.dims().to_vec());
        if owner == self.me {
            let length = value.shape().num_elements();
            self.own.push(value.reshape([length]));
        }
    }
}

/// Replaces parameters by those that have arrived.
struct Replace(HashMap<ParamId, TensorData>);

impl<B: AutodiffBackend> ModuleMapper<B> for Replace {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(data) = self.0.remove(&id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let (device, dtype) = (tensor.device(), tensor.dtype());
        drop(tensor);
        let arrived = Tensor::<B::InnerBackend, D>::from_data(data, (&device, dtype));
        let tensor = Tensor::from_inner(arrived).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}
