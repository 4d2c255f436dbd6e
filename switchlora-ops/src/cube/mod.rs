//! Kernels for what burn builds on CubeCL: burn-wgpu and burn-cuda, with fusion and without, from one source.
//!
//! Products of matrices stay burn's, which knows tensor cores and tries variants; our own kernels do what lies between them,
//! each in one pass. Sizes are numbers at run time, so that a kernel is compiled once, not once for each shape. Nothing
//! here waits for the device. One file an operation; [`launch`] starts kernels, [`tensors`] and [`reduce`] are what they
//! have in common.

mod adamw;
mod attention;
mod cross_entropy;
mod embedding;
mod heads;
mod launch;
mod norm;
mod product;
mod projection;
mod reduce;
mod rows;
mod softmax;
mod sums;
mod swiglu;
mod tensors;
#[cfg(all(test, feature = "wgpu"))]
mod tests;

use crate::kernels::{AttentionInputs, CrossEntropy, Kernels, ProjectionInputs};
use crate::primitive::{primitive, tensor};
use crate::{AdamWRows, Precision};
use burn::tensor::Tensor;
use burn::tensor::ops::{FloatTensor, IntTensor};
use launch::Launch;

impl<B: Launch> Kernels for B {
    fn embedding(weight: &FloatTensor<B>, tokens: &IntTensor<B>) -> FloatTensor<B> {
        B::float_select(weight.clone(), 0, tokens.clone())
    }

    fn embedding_backward(
        tokens: &IntTensor<B>,
        vocabulary: usize,
        dy: FloatTensor<B>,
    ) -> FloatTensor<B> {
        embedding::backward::<B>(tokens, vocabulary, dy)
    }

    fn rms_norm(x: &FloatTensor<B>, weight: &FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
        norm::forward::<B>(x, weight, epsilon)
    }

    fn rms_norm_backward(
        x: &FloatTensor<B>,
        weight: &FloatTensor<B>,
        epsilon: f64,
        dy: FloatTensor<B>,
    ) -> [FloatTensor<B>; 2] {
        norm::backward::<B>(x, weight, epsilon, dy)
    }

    fn swiglu(gate: &FloatTensor<B>, up: &FloatTensor<B>) -> FloatTensor<B> {
        swiglu::forward::<B>(gate, up)
    }

    fn swiglu_backward(
        gate: &FloatTensor<B>,
        up: &FloatTensor<B>,
        dy: FloatTensor<B>,
    ) -> [FloatTensor<B>; 2] {
        swiglu::backward::<B>(gate, up, dy)
    }

    fn causal_attention(inputs: &AttentionInputs<B>) -> FloatTensor<B> {
        attention::forward(inputs)
    }

    fn causal_attention_backward(
        inputs: &AttentionInputs<B>,
        dy: FloatTensor<B>,
    ) -> [FloatTensor<B>; 3] {
        attention::backward(inputs, dy)
    }

    fn cross_entropy(
        hidden: &FloatTensor<B>,
        weight: &FloatTensor<B>,
        targets: &IntTensor<B>,
        precision: Precision,
    ) -> FloatTensor<B> {
        cross_entropy::loss::<B>(hidden, weight, targets, precision)
    }

    fn cross_entropy_with_gradients(
        hidden: &FloatTensor<B>,
        weight: &FloatTensor<B>,
        targets: &IntTensor<B>,
        precision: Precision,
    ) -> CrossEntropy<B> {
        cross_entropy::loss_and_gradients::<B>(hidden, weight, targets, precision)
    }

    fn scaled(x: FloatTensor<B>, factor: &FloatTensor<B>) -> FloatTensor<B> {
        let factor: Tensor<B, 1> = tensor(factor.clone());
        let x: Tensor<B, 2> = tensor(x);
        primitive(x * factor.reshape([1, 1]))
    }

    fn projections(
        x: &FloatTensor<B>,
        projections: &[ProjectionInputs<B>],
        precision: Precision,
    ) -> Vec<FloatTensor<B>> {
        projection::forward(x, projections, precision)
    }

    fn projections_backward(
        x: &FloatTensor<B>,
        projections: &[ProjectionInputs<B>],
        dy: &[Option<FloatTensor<B>>],
        wanted: &[bool],
        precision: Precision,
    ) -> Vec<Option<FloatTensor<B>>> {
        projection::backward(x, projections, dy, wanted, precision)
    }

    fn adamw(
        parameter: FloatTensor<B>,
        gradient: FloatTensor<B>,
        moments: Option<[FloatTensor<B>; 2]>,
        rows: &AdamWRows,
        verdict: Option<FloatTensor<B>>,
    ) -> [FloatTensor<B>; 3] {
        adamw::update::<B>(parameter, gradient, moments, rows, verdict)
    }

    fn gather_rows(matrix: &FloatTensor<B>, rows: &[usize]) -> FloatTensor<B> {
        rows::gather::<B>(matrix, rows)
    }

    fn scatter_rows(
        matrix: FloatTensor<B>,
        rows: &[usize],
        values: FloatTensor<B>,
    ) -> FloatTensor<B> {
        rows::scatter::<B>(matrix, rows, values)
    }

    fn sum_of_squares(x: FloatTensor<B>) -> FloatTensor<B> {
        sums::sum_of_squares::<B>(x)
    }

    fn add_product(
        weight: FloatTensor<B>,
        left: FloatTensor<B>,
        right: FloatTensor<B>,
    ) -> FloatTensor<B> {
        product::add_product::<B>(weight, left, right)
    }
}
