//! The registry: the only place where a backend is recognised, and a way to compute on it is chosen.
//!
//! Public functions are generic over `B: Backend` and know nothing else. The registry recognises `B` at run time by its type:
//! a backend with kernels of our own, or autodiff over one, computes f32 with those. Every other backend and dtype computes
//! with [`Plain`].

use crate::Precision;
use crate::operations::{Model, Optimizer};
use crate::plain::Plain;
#[cfg(feature = "flex")]
use crate::pool;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn_fusion::Fusion;
use std::any::{Any, TypeId};
use std::sync::LazyLock;

/// The way to compute a model's operation on `x`.
pub(crate) fn model<B: Backend, const D: usize>(x: &Tensor<B, D>) -> &'static dyn Model<B> {
    match kernels::<B>(x.dtype())
        .and_then(|known| known.model.downcast_ref::<&'static dyn Model<B>>())
    {
        Some(way) => *way,
        None => plain::<B>(&x.device()),
    }
}

/// The way to compute an optimizer's operation on `x`.
pub(crate) fn optimizer<B: Backend, const D: usize>(x: &Tensor<B, D>) -> &'static dyn Optimizer<B> {
    let way = kernels::<B>(x.dtype()).and_then(|known| known.optimizer.as_ref());
    match way.and_then(|way| way.downcast_ref::<&'static dyn Optimizer<B>>()) {
        Some(way) => *way,
        None => plain::<B>(&x.device()),
    }
}

/// Whether `B` computes an operation when it is called, so that reading a result waits for nothing.
///
/// True for Flex and NdArray and for autodiff over them. GPU backends queue operations and compute them later.
pub fn computes_at_once<B: Backend>(device: &B::Device) -> bool {
    // By name: this crate does not depend on burn-ndarray, and on burn-flex only with the feature `flex`.
    let name = B::name(device);
    ["flex", "ndarray"].iter().any(|cpu| name.contains(cpu))
}

/// Runs `work` on a thread of the pool that computes the kernels of `B`, and returns its result.
///
/// From outside of the pool, each parallel loop wakes a thread, waits for it, and is woken itself. From inside, it only offers
/// half of its work to other threads. A training step has about a hundred such loops; on two cores the difference is 4 % of
/// its time. If another thread of the process is in the pool, `work` runs on the calling thread, with the same result; so it
/// does on a backend without a pool: GPU backends queue operations per thread.
///
/// `work` must not wait for another call of this function. Nor must a thread of another rayon pool call it for work that
/// backpropagates: while it waits for a part of a kernel, rayon may give it another such work, which then waits for the
/// first one's graph.
pub fn in_pool<B: Backend, R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    if known::<B>().is_some_and(|known| known.has_pool) {
        return pool::run(work);
    }
    work()
}

impl Precision {
    /// Whether the kernels for Flex compute products in this precision with matrix units of this CPU (AMX), which takes a
    /// fraction of the time of f32.
    pub fn has_matrix_units_here(self) -> bool {
        #[cfg(feature = "flex")]
        return crate::flex::has_matrix_units(self);
        #[cfg(not(feature = "flex"))]
        return false;
    }
}

/// Whether what a [`HostRead`](crate::HostRead) reads shares the memory of the tensors.
pub fn reads_share_memory<B: Backend>() -> bool {
    #[cfg(feature = "flex")]
    return TypeId::of::<B::FloatTensorPrimitive>() == TypeId::of::<burn_flex::FlexTensor>();
    #[cfg(not(feature = "flex"))]
    false
}

/// The data of a backend's tensor, if the host can read it where it is. Both share the memory.
#[cfg_attr(not(feature = "flex"), allow(unused_variables))]
pub(crate) fn shares_host_memory(tensor: &dyn Any) -> Option<TensorData> {
    #[cfg(feature = "flex")]
    return tensor
        .downcast_ref::<burn_flex::FlexTensor>()
        .and_then(crate::flex::host::shared);
    #[cfg(not(feature = "flex"))]
    None
}

/// The operations composed of tensor operations, as they suit `B`.
fn plain<B: Backend>(device: &B::Device) -> &'static Plain {
    match computes_at_once::<B>(device) {
        true => &Plain { norm_in_f64: true },
        false => &Plain { norm_in_f64: false },
    }
}

/// A backend with kernels of our own, or autodiff over one.
pub(crate) struct Known {
    backend: TypeId,
    /// An `&'static dyn Model<B>`.
    model: Box<dyn Any + Send + Sync>,
    /// An `&'static dyn Optimizer<B>`. None for autodiff: an optimizer computes on the backend inside.
    optimizer: Option<Box<dyn Any + Send + Sync>>,
    /// Whether the kernels compute on the threads of a pool.
    #[cfg_attr(not(feature = "flex"), allow(dead_code))]
    has_pool: bool,
}

/// Whether `SWITCHLORA_PLAIN=1` turns our kernels off, so that every operation is composed of Burn's.
pub fn is_composed() -> bool {
    static IS_OFF: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("SWITCHLORA_PLAIN").is_some_and(|value| value == "1"));
    *IS_OFF
}

/// The kernels that compute `dtype` on `B`, if there are any and the environment does not turn them off.
pub(crate) fn kernels<B: Backend>(dtype: DType) -> Option<&'static Known> {
    (dtype == DType::F32 && !is_composed())
        .then(known::<B>)
        .flatten()
}

fn known<B: Backend>() -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.backend == TypeId::of::<B>())
}

/// Every backend with kernels. Not generic, so that the kernels are compiled in this crate and not in each crate that uses it.
static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    #[allow(unused_mut)]
    let mut all: Vec<Known> = vec![];
    #[cfg(feature = "flex")]
    all.extend(with_autodiff::<burn_flex::Flex>(true));
    // CubeCL backends with fusion, as Burn exports them, and without.
    #[cfg(feature = "wgpu")]
    {
        use cubecl::wgpu::WgpuRuntime;
        all.extend(with_autodiff::<Fusion<Cube<WgpuRuntime, u32>>>(false));
        all.extend(with_autodiff::<Fusion<Cube<WgpuRuntime, u8>>>(false));
        all.extend(with_autodiff::<Cube<WgpuRuntime, u32>>(false));
    }
    #[cfg(feature = "cuda")]
    {
        use cubecl::cuda::CudaRuntime;
        all.extend(with_autodiff::<Fusion<Cube<CudaRuntime, u8>>>(false));
        all.extend(with_autodiff::<Cube<CudaRuntime, u8>>(false));
    }
    all
});

/// A CubeCL backend of a runtime, with the type that it stores booleans in.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
type Cube<R, Bool> = burn_cubecl::CubeBackend<R, f32, i32, Bool>;

/// A backend `K` with kernels, and autodiff over it with both of Burn's checkpointing strategies.
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
fn with_autodiff<K: Backend>(has_pool: bool) -> [Known; 3]
where
    crate::kernels::Kernels: Model<K> + Optimizer<K> + crate::kernels::ModelBackward<K>,
{
    use crate::differentiable::Differentiable;
    use crate::kernels::Kernels;
    use burn::backend::Autodiff;
    use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;

    fn entry<B: Backend>(
        model: &'static dyn Model<B>,
        optimizer: Option<&'static dyn Optimizer<B>>,
        has_pool: bool,
    ) -> Known {
        Known {
            backend: TypeId::of::<B>(),
            model: Box::new(model),
            optimizer: optimizer.map(|way| Box::new(way) as _),
            has_pool,
        }
    }
    [
        entry::<K>(&Kernels, Some(&Kernels), has_pool),
        entry::<Autodiff<K>>(&Differentiable, None, has_pool),
        entry::<Autodiff<K, BalancedCheckpointing>>(&Differentiable, None, has_pool),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Autodiff;
    use burn_ndarray::NdArray;

    #[test]
    fn cpu_backends_compute_at_once_with_and_without_autodiff() {
        assert!(computes_at_once::<NdArray>(&Default::default()));
        assert!(computes_at_once::<Autodiff<NdArray>>(&Default::default()));
        assert!(!known::<NdArray>().is_some_and(|known| known.has_pool));
        #[cfg(feature = "flex")]
        {
            use burn_flex::Flex;
            assert!(computes_at_once::<Autodiff<Flex>>(&Default::default()));
            assert!(known::<Autodiff<Flex>>().is_some_and(|known| known.has_pool));
            assert!(reads_share_memory::<Flex>() && !reads_share_memory::<NdArray>());
            assert!(kernels::<Flex>(DType::F32).is_some());
            assert!(kernels::<Flex>(DType::F64).is_none());
        }
    }
}
