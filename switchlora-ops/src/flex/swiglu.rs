//! SwiGLU: one pass forward and one pass backward.

use super::exponential::logistic;
use super::output::{Output, write_rest};
use super::slices::{contiguous, fresh, slice};
use crate::kernels::{Kernels, SwiGluBackward};
use crate::operations::SwiGlu;
use burn::tensor::Tensor;
use burn_flex::Flex;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Elements that a thread takes at a time.
const BLOCK: usize = 1 << 14;

impl SwiGlu<Flex> for Kernels {
    fn swiglu(&self, gate: Tensor<Flex, 2>, up: Tensor<Flex, 2>) -> Tensor<Flex, 2> {
        let shape = gate.dims();
        let (gate, up) = (contiguous(gate), contiguous(up));
        let (gate, up) = (slice(&gate), slice(&up));
        let mut y = Output::new(gate.len());
        let blocks = y.elements(gate.len()).par_chunks_mut(BLOCK);
        let blocks = blocks.zip(gate.par_chunks(BLOCK)).zip(up.par_chunks(BLOCK));
        blocks.for_each(|((y, gate), up)| {
            Arch::new().dispatch(Forward { y, gate, up });
        });
        // SAFETY: the blocks cover all elements, and each block has been written.
        fresh(unsafe { y.written(gate.len()) }, shape)
    }
}

impl SwiGluBackward<Flex> for Kernels {
    fn swiglu_backward(
        &self,
        gate: Tensor<Flex, 2>,
        up: Tensor<Flex, 2>,
        dy: Tensor<Flex, 2>,
    ) -> [Tensor<Flex, 2>; 2] {
        let shape = gate.dims();
        let tensors = [gate, up, dy].map(contiguous);
        let [gate, up, dy] = tensors.each_ref().map(slice);
        let length = gate.len();
        let [mut dgate, mut dup] = [(); 2].map(|()| Output::new(length));
        let blocks = dgate.elements(length).par_chunks_mut(BLOCK);
        let blocks = blocks.zip(dup.elements(length).par_chunks_mut(BLOCK));
        let inputs = gate
            .par_chunks(BLOCK)
            .zip(up.par_chunks(BLOCK))
            .zip(dy.par_chunks(BLOCK));
        blocks
            .zip(inputs)
            .for_each(|((dgate, dup), ((gate, up), dy))| {
                Arch::new().dispatch(Backward {
                    dgate,
                    dup,
                    gate,
                    up,
                    dy,
                });
            });
        // SAFETY: the blocks cover all elements, and each block has been written.
        [dgate, dup].map(|output| fresh(unsafe { output.written(length) }, shape))
    }
}

/// `gate sigma(gate) up`.
#[inline(always)]
fn gated<S: Simd>(simd: S, gate: S::f32s, up: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.mul_f32s(gate, logistic(simd, gate)), up)
}

/// `dy up sigma (1 + gate (1 - sigma))` and `dy gate sigma`.
#[inline(always)]
fn gradients<S: Simd>(simd: S, gate: S::f32s, up: S::f32s, dy: S::f32s) -> [S::f32s; 2] {
    let (one, sigma) = (simd.splat_f32s(1.0), logistic(simd, gate));
    let through = simd.mul_f32s(dy, sigma);
    let slope = simd.mul_add_e_f32s(gate, simd.sub_f32s(one, sigma), one);
    let of_gate = simd.mul_f32s(simd.mul_f32s(through, up), slope);
    [of_gate, simd.mul_f32s(through, gate)]
}

/// One block of the forward.
struct Forward<'a> {
    y: &'a mut [MaybeUninit<f32>],
    gate: &'a [f32],
    up: &'a [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (y, y_rest) = S::as_uninit_mut_simd_f32s(self.y);
        let ((gate, gate_rest), (up, up_rest)) =
            (S::as_simd_f32s(self.gate), S::as_simd_f32s(self.up));
        for i in 0..y.len() {
            y[i].write(gated(simd, gate[i], up[i]));
        }
        let [gate, up] = [
            simd.partial_load_f32s(gate_rest),
            simd.partial_load_f32s(up_rest),
        ];
        write_rest(simd, y_rest, gated(simd, gate, up));
    }
}

/// One block of the backward.
struct Backward<'a> {
    dgate: &'a mut [MaybeUninit<f32>],
    dup: &'a mut [MaybeUninit<f32>],
    gate: &'a [f32],
    up: &'a [f32],
    dy: &'a [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (dgate, dgate_rest) = S::as_uninit_mut_simd_f32s(self.dgate);
        let (dup, dup_rest) = S::as_uninit_mut_simd_f32s(self.dup);
        let (gate, gate_rest) = S::as_simd_f32s(self.gate);
        let (up, up_rest) = S::as_simd_f32s(self.up);
        let (dy, dy_rest) = S::as_simd_f32s(self.dy);
        for i in 0..dgate.len() {
            let [of_gate, of_up] = gradients(simd, gate[i], up[i], dy[i]);
            dgate[i].write(of_gate);
            dup[i].write(of_up);
        }
        let [gate, up] = [
            simd.partial_load_f32s(gate_rest),
            simd.partial_load_f32s(up_rest),
        ];
        let dy = simd.partial_load_f32s(dy_rest);
        let [dgate, dup] = gradients(simd, gate, up, dy);
        write_rest(simd, dgate_rest, dgate);
        write_rest(simd, dup_rest, dup);
    }
}
