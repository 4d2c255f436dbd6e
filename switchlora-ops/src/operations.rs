//! The operations, as a trait that each way to compute them implements, and how the way for a backend is found.
//!
//! What calls an operation is generic over `B: Backend` and knows no more. Which way is taken is found at run time, from
//! the type of the backend: `Differentiable` and `Direct` where there are kernels of our own, [`Plain`] everywhere else.

use crate::plain::Plain;
use crate::{AdamWRows, Attention, Moments, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn_cubecl::CubeBackend;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn_fusion::Fusion;
use std::any::Any;
use std::sync::LazyLock;

/// Every operation of this crate on one backend; what each computes is said where it is public.
pub(crate) trait Operations<B: Backend>: Send + Sync {
    fn embedding(&self, weight: Tensor<B, 2>, tokens: Tensor<B, 1, Int>) -> Tensor<B, 2>;

    fn rms_norm(&self, x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2>;

    fn swiglu(&self, gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2>;

    fn causal_attention(&self, attention: Attention<B>) -> Tensor<B, 2>;

    fn linear_cross_entropy(
        &self,
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
    ) -> Tensor<B, 1>;

    fn projections(&self, x: Tensor<B, 2>, projections: Vec<Projection<B>>) -> Vec<Tensor<B, 2>>;

    fn adamw(
        &self,
        parameter: Tensor<B, 2>,
        gradient: Tensor<B, 2>,
        moments: Option<Moments<B>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<B, 1>>,
    ) -> (Tensor<B, 2>, Moments<B>);

    fn gather_rows(&self, matrix: &Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2>;

    fn scatter_rows(
        &self,
        matrix: Tensor<B, 2>,
        rows: &[usize],
        values: Tensor<B, 2>,
    ) -> Tensor<B, 2>;

    fn sum_of_squares(&self, x: Tensor<B, 2>) -> Tensor<B, 1>;

    fn add_product(
        &self,
        weight: Tensor<B, 2>,
        left: Tensor<B, 2>,
        right: Tensor<B, 2>,
    ) -> Tensor<B, 2>;
}

/// The way to compute on `B` what is in `dtype` with products in `precision`.
pub(crate) fn operations<B: Backend>(
    dtype: DType,
    precision: Precision,
) -> &'static dyn Operations<B> {
    if dtype == DType::F32
        && let Some(found) = own_kernels(precision)
            .iter()
            .find_map(|way| way.downcast_ref())
    {
        return *found;
    }
    match precision {
        Precision::F32 => &Plain(Precision::F32),
        Precision::Bf16 => &Plain(Precision::Bf16),
    }
}

/// An `&'static dyn Operations<B>` for some `B`.
type Way = Box<dyn Any + Send + Sync>;

/// The ways of the backends with kernels of our own; none if the environment turns those off.
///
/// Not generic, so that it is compiled here and not again for each backend wherever an operation is called.
pub(crate) fn own_kernels(precision: Precision) -> &'static [Way] {
    static WAYS: LazyLock<[Vec<Way>; 2]> = LazyLock::new(|| {
        let off = std::env::var_os("SWITCHLORA_PLAIN").is_some_and(|value| value == "1");
        [Precision::F32, Precision::Bf16].map(|precision| match off {
            true => vec![],
            false => ways(precision),
        })
    });
    match precision {
        Precision::F32 => &WAYS[0],
        Precision::Bf16 => &WAYS[1],
    }
}

fn ways(#[allow(unused_variables)] precision: Precision) -> Vec<Way> {
    #[allow(unused_mut)]
    let mut ways: Vec<Way> = vec![];
    #[cfg(feature = "flex")]
    ways.extend(of_kernels::<burn_flex::Flex>(precision));
    // With fusion, as burn exports them, and without.
    #[cfg(feature = "wgpu")]
    {
        use cubecl::wgpu::WgpuRuntime;
        ways.extend(of_kernels::<Fusion<CubeBackend<WgpuRuntime, f32, i32, u32>>>(precision));
        ways.extend(of_kernels::<Fusion<CubeBackend<WgpuRuntime, f32, i32, u8>>>(precision));
        ways.extend(of_kernels::<CubeBackend<WgpuRuntime, f32, i32, u32>>(
            precision,
        ));
    }
    #[cfg(feature = "cuda")]
    {
        use cubecl::cuda::CudaRuntime;
        ways.extend(of_kernels::<Fusion<CubeBackend<CudaRuntime, f32, i32, u8>>>(precision));
        ways.extend(of_kernels::<CubeBackend<CudaRuntime, f32, i32, u8>>(
            precision,
        ));
    }
    ways
}

/// Those of a backend `K` with kernels, and of autodiff over it.
#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
fn of_kernels<K: crate::kernels::Kernels>(precision: Precision) -> [Way; 3] {
    use crate::differentiable::Differentiable;
    use crate::direct::Direct;
    use burn::backend::Autodiff;
    use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;

    let (direct, differentiable) = match precision {
        Precision::F32 => (&Direct(Precision::F32), &Differentiable(Precision::F32)),
        Precision::Bf16 => (&Direct(Precision::Bf16), &Differentiable(Precision::Bf16)),
    };
    let inner: &'static dyn Operations<K> = direct;
    let plain: &'static dyn Operations<Autodiff<K>> = differentiable;
    let balanced: &'static dyn Operations<Autodiff<K, BalancedCheckpointing>> = differentiable;
    [Box::new(inner), Box::new(plain), Box::new(balanced)]
}

/// Whether `B` computes on the threads of a pool with kernels of our own, or is autodiff over such a backend.
#[cfg(feature = "flex")]
pub(crate) fn has_pool<B: Backend>() -> bool {
    use burn::backend::Autodiff;
    use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
    use burn_flex::Flex;
    use std::any::TypeId;

    let of = TypeId::of::<B>();
    of == TypeId::of::<Flex>()
        || of == TypeId::of::<Autodiff<Flex>>()
        || of == TypeId::of::<Autodiff<Flex, BalancedCheckpointing>>()
}
