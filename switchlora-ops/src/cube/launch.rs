//! Starts kernels on CubeCL backends: immediately without fusion, as an operation in the queue of fusion with it.

use super::runtime::Products;
use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use burn_cubecl::fusion::FusionCubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use burn_fusion::stream::{Operation, OperationStreams};
use burn_fusion::{Fusion, FusionRuntime, FusionTensor};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};
use std::fmt::{Debug, Formatter, Result};
use std::marker::PhantomData;

/// The CubeCL tensor of `B`.
pub(super) type Inner<B> = CubeTensor<<B as Launch>::Runtime>;

/// A backend that can start kernels.
pub(super) trait Launch: Backend {
    /// The CubeCL runtime.
    type Runtime: Products;

    /// Calls `kernels` with `inputs`, now or when the queue reaches it. `outputs` are the shapes and dtypes of its results.
    ///
    /// `kernels` may write to an input if no other tensor shares its memory.
    fn launch<const I: usize, const O: usize>(
        name: &'static str,
        inputs: [FloatTensor<Self>; I],
        outputs: [(Shape, DType); O],
        kernels: impl Fn([Inner<Self>; I]) -> [Inner<Self>; O] + Send + Sync + 'static,
    ) -> [FloatTensor<Self>; O];

    /// A tensor of integers as an input of `launch`.
    fn integers(tensor: IntTensor<Self>) -> FloatTensor<Self>;
}

impl<R: Products, BT: BoolElement> Launch for CubeBackend<R, f32, i32, BT> {
    type Runtime = R;

    fn launch<const I: usize, const O: usize>(
        _: &'static str,
        inputs: [CubeTensor<R>; I],
        _: [(Shape, DType); O],
        kernels: impl Fn([CubeTensor<R>; I]) -> [CubeTensor<R>; O] + Send + Sync + 'static,
    ) -> [CubeTensor<R>; O] {
        kernels(inputs)
    }

    fn integers(tensor: CubeTensor<R>) -> CubeTensor<R> {
        tensor
    }
}

impl<R: Products, BT: BoolElement> Launch for Fusion<CubeBackend<R, f32, i32, BT>> {
    type Runtime = R;

    fn launch<const I: usize, const O: usize>(
        name: &'static str,
        inputs: [FusionTensor<FusionCubeRuntime<R>>; I],
        outputs: [(Shape, DType); O],
        kernels: impl Fn([CubeTensor<R>; I]) -> [CubeTensor<R>; O] + Send + Sync + 'static,
    ) -> [FusionTensor<FusionCubeRuntime<R>>; O] {
        let client = inputs[0].client.clone();
        let streams = OperationStreams::with_inputs(&inputs);
        let outputs = outputs
            .map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
        let description = CustomOpIr::new(name, &inputs.map(FusionTensor::into_ir), &outputs);
        let operation = Custom::<R, BT, _, I, O> {
            description: description.clone(),
            kernels,
            backend: PhantomData,
        };
        let registered = client.register(streams, OperationIr::Custom(description), operation);
        let registered: std::result::Result<[_; O], _> = registered.try_into();
        registered.unwrap_or_else(|_| unreachable!("a tensor for each output"))
    }

    fn integers(tensor: FusionTensor<FusionCubeRuntime<R>>) -> FusionTensor<FusionCubeRuntime<R>> {
        tensor
    }
}

/// An operation of our own in the queue of fusion.
struct Custom<R, BT, F, const I: usize, const O: usize> {
    description: CustomOpIr,
    kernels: F,
    backend: PhantomData<fn() -> (R, BT)>,
}

impl<R, BT, F, const I: usize, const O: usize> Debug for Custom<R, BT, F, I, O> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        self.description.fmt(formatter)
    }
}

impl<R, BT, F, const I: usize, const O: usize> Operation<FusionCubeRuntime<R>>
    for Custom<R, BT, F, I, O>
where
    R: CubeRuntime,
    BT: BoolElement,
    F: Fn([CubeTensor<R>; I]) -> [CubeTensor<R>; O] + Send + Sync,
{
    fn execute(
        &self,
        handles: &mut HandleContainer<<FusionCubeRuntime<R> as FusionRuntime>::FusionHandle>,
    ) {
        let (inputs, outputs) = self.description.as_fixed::<I, O>();
        let inputs = inputs
            .each_ref()
            .map(|input| handles.get_float_tensor::<CubeBackend<R, f32, i32, BT>>(input));
        for (output, computed) in outputs.iter().zip((self.kernels)(inputs)) {
            handles.register_float_tensor::<CubeBackend<R, f32, i32, BT>>(&output.id, computed);
        }
    }
}
