//! The operations, as a trait that each way to compute them implements, and how the way for a backend is found.
//!
//! What calls an operation is generic over `B: Backend` and knows no more. Which way is taken is found at run time, from
//! the type of the backend: `Differentiable` and `Direct` where there are kernels of our own, [`Plain`] everywhere else.

use crate::plain::Plain;
use crate::{AdamWRows, Attention, Moments, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor};

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
    #[cfg(feature = "flex")]
    if dtype == DType::F32
        && let Some(found) = of_kernels::<B, burn_flex::Flex>(precision)
    {
        return found;
    }
    match precision {
        Precision::F32 => &Plain(Precision::F32),
        Precision::Bf16 => &Plain(Precision::Bf16),
    }
}

/// Whether `B` is a backend with kernels, or autodiff over one.
#[cfg(feature = "flex")]
pub(crate) fn has_kernels<B: Backend>() -> bool {
    of_kernels::<B, burn_flex::Flex>(Precision::F32).is_some()
}

/// The operations of a backend `K` with kernels, if `B` is that backend, or autodiff over it.
#[cfg(feature = "flex")]
fn of_kernels<B: Backend, K: crate::kernels::Kernels>(
    precision: Precision,
) -> Option<&'static dyn Operations<B>> {
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
    same(&inner)
        .or_else(|| same(&plain))
        .or_else(|| same(&balanced))
}

/// `operations` under another name for the same type; none if it is another type.
#[cfg(feature = "flex")]
fn same<B: Backend>(operations: &dyn std::any::Any) -> Option<&'static dyn Operations<B>> {
    operations.downcast_ref().copied()
}
