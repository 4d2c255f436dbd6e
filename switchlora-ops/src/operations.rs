//! The operations, one trait each. Every way to compute them implements these traits for the backends it serves.
//!
//! The ways are [`Plain`](crate::plain::Plain) for every backend, our kernels for Flex and for CubeCL backends, and
//! `Differentiable` for autodiff over a backend with kernels. The [registry](crate::registry) picks one at run time, so the
//! traits must be usable as `dyn`. What an operation computes is documented at the public function of the same name.

use crate::{AdamWRows, Attention, Moments, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// Declares a trait that stands for several traits, so that one `dyn` object has them all.
macro_rules! all_of {
    ($(#[$doc:meta])* $name:ident = $first:ident $(+ $other:ident)*) => {
        $(#[$doc])*
        pub(crate) trait $name<B: Backend>: $first<B> $(+ $other<B>)* + Sync {}

        impl<B: Backend, W: $first<B> $(+ $other<B>)* + Sync> $name<B> for W {}
    };
}

#[cfg(any(feature = "flex", feature = "wgpu", feature = "cuda"))]
pub(crate) use all_of;

/// See [`embedding`](crate::embedding()).
pub(crate) trait Embedding<B: Backend> {
    fn embedding(&self, weight: Tensor<B, 2>, tokens: Tensor<B, 1, Int>) -> Tensor<B, 2>;
}

/// See [`rms_norm`](crate::rms_norm).
pub(crate) trait RmsNorm<B: Backend> {
    fn rms_norm(&self, x: Tensor<B, 2>, weight: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2>;
}

/// See [`swiglu`](crate::swiglu).
pub(crate) trait SwiGlu<B: Backend> {
    fn swiglu(&self, gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2>;
}

/// See [`causal_attention`](crate::causal_attention).
pub(crate) trait CausalAttention<B: Backend> {
    fn causal_attention(&self, attention: Attention<B>, precision: Precision) -> Tensor<B, 2>;
}

/// See [`linear_cross_entropy`](crate::linear_cross_entropy).
pub(crate) trait LinearCrossEntropy<B: Backend> {
    fn linear_cross_entropy(
        &self,
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
        precision: Precision,
    ) -> Tensor<B, 1>;
}

/// See [`projections`](crate::projections).
pub(crate) trait Projections<B: Backend> {
    fn projections(
        &self,
        x: Tensor<B, 2>,
        projections: Vec<Projection<B>>,
        precision: Precision,
    ) -> Vec<Tensor<B, 2>>;
}

all_of! {
    /// Every operation of a model. These have gradients.
    Model = Embedding + RmsNorm + SwiGlu + CausalAttention + LinearCrossEntropy + Projections
}

/// See [`adamw`](crate::adamw()).
pub(crate) trait AdamW<B: Backend> {
    fn adamw(
        &self,
        parameter: Tensor<B, 2>,
        gradient: Tensor<B, 2>,
        moments: Option<Moments<B>>,
        rows: &AdamWRows,
        verdict: Option<Tensor<B, 1>>,
    ) -> (Tensor<B, 2>, Moments<B>);
}

/// See [`gather_rows`](crate::gather_rows) and [`scatter_rows`](crate::scatter_rows).
pub(crate) trait Rows<B: Backend> {
    fn gather_rows(&self, matrix: &Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2>;

    fn scatter_rows(
        &self,
        matrix: Tensor<B, 2>,
        rows: &[usize],
        values: Tensor<B, 2>,
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2>;
}

/// See [`sum_of_squares`](crate::sum_of_squares) and [`sum_of_all_squares`](crate::sum_of_all_squares).
pub(crate) trait SumOfSquares<B: Backend> {
    fn sum_of_squares(&self, x: Tensor<B, 2>) -> Tensor<B, 1>;

    fn sum_of_all_squares(&self, all: Vec<Tensor<B, 2>>) -> Tensor<B, 1> {
        let sums = all.into_iter().map(|x| self.sum_of_squares(x)).collect();
        Tensor::cat(sums, 0).sum()
    }
}

/// See [`add_product`](crate::add_product), [`add_products`](crate::add_products) and [`matmul`](crate::matmul()).
pub(crate) trait AddProduct<B: Backend> {
    fn matmul(&self, left: Tensor<B, 2>, right: Tensor<B, 2>) -> Tensor<B, 2> {
        left.matmul(right)
    }

    fn add_product(
        &self,
        weight: Tensor<B, 2>,
        left: Tensor<B, 2>,
        right: Tensor<B, 2>,
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2>;

    fn add_products(
        &self,
        weight: Tensor<B, 2>,
        pairs: [[Tensor<B, 2>; 2]; 2],
        scale: f64,
        verdict: Option<Tensor<B, 1>>,
    ) -> Tensor<B, 2> {
        let [left, right] = as_one(pairs, scale);
        self.add_product(weight, left, right, verdict)
    }
}

/// The factors of `scale` times the sum of two products, as those of one.
pub(crate) fn as_one<B: Backend>([a, b]: [[Tensor<B, 2>; 2]; 2], scale: f64) -> [Tensor<B, 2>; 2] {
    let ([left_a, right_a], [left_b, right_b]) = (a, b);
    let stacked = |one, other| Tensor::cat(vec![one, other], 0);
    [stacked(left_a, left_b), stacked(right_a, right_b) * scale]
}

all_of! {
    /// Every operation of an optimizer. These have no gradients.
    Optimizer = AdamW + Rows + SumOfSquares + AddProduct
}
