//! SwiGLU: one pass forward, one backward.

use super::exponential::logistic;
use super::output::Output;
use multiversion::multiversion;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Elements that a thread takes at a time.
const BLOCK: usize = 1 << 14;

/// `silu(gate) * up`.
pub(super) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut y = Output::new(gate.len());
    let blocks = y.elements(gate.len()).par_chunks_mut(BLOCK);
    let blocks = blocks.zip(gate.par_chunks(BLOCK)).zip(up.par_chunks(BLOCK));
    blocks.for_each(|((y, gate), up)| forward_block(y, gate, up));
    // SAFETY: the blocks are all of it, and each has been written.
    unsafe { y.written(gate.len()) }
}

/// Gradients of `gate` and of `up`.
pub(super) fn backward(gate: &[f32], up: &[f32], dy: &[f32]) -> [Vec<f32>; 2] {
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
            backward_block(dgate, dup, gate, up, dy);
        });
    // SAFETY: the blocks are all of it, and each has been written.
    [dgate, dup].map(|output| unsafe { output.written(length) })
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn forward_block(y: &mut [MaybeUninit<f32>], gate: &[f32], up: &[f32]) {
    for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
        y.write(gate * logistic(*gate) * up);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn backward_block(
    dgate: &mut [MaybeUninit<f32>],
    dup: &mut [MaybeUninit<f32>],
    gate: &[f32],
    up: &[f32],
    dy: &[f32],
) {
    let inputs = gate.iter().zip(up).zip(dy);
    for ((dgate, dup), ((gate, up), dy)) in dgate.iter_mut().zip(dup).zip(inputs) {
        let sigma = logistic(*gate);
        dup.write(dy * gate * sigma);
        dgate.write(dy * up * sigma * (1.0 + gate * (1.0 - sigma)));
    }
}
