//! Causal attention, a block of queries of one head at a time: only such a block's scores are ever there, and of those
//! only the ones up to the block's last key. The backward makes them again. Threads take whole key heads.

use super::heads::{Block, Columns, KeyHead, Shape};
use super::matrix::{Matrix, Threads};
use super::output::Output;
use super::rotary::{Angles, rotate, rotate_back};
use super::slices::{contiguous, fresh, slice};
use super::softmax::{softmax, softmax_backward};
use crate::kernels::AttentionInputs;
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

/// The attention of every head, `[tokens, queries * head_dim]`.
pub(super) fn forward(inputs: &AttentionInputs<Flex>) -> FlexTensor {
    let inputs = Inputs::new(inputs);
    let (shape, width, d) = (
        inputs.shape,
        inputs.shape.query_width(),
        inputs.shape.heads.head_dim,
    );
    let length = shape.tokens * width;
    let mut output = Output::new(length);
    let columns = Columns::new(output.elements(length), width);
    shape.key_heads().for_each_init(
        || Room::new(&shape),
        |room, head| {
            inputs.rotate_keys(head, &mut room.keys);
            for (query_head, block) in shape.blocks(head) {
                inputs.weights(head, query_head, block, room);
                let weights = Matrix::new(&room.scores, block.count, block.seen());
                let out = &mut room.out[..block.count * d];
                weights.times_over(inputs.values(head, block), 1.0, out, d, Threads::This);
                for (row, out) in out.chunks(d).enumerate() {
                    let token = shape.token(head, block.start + row);
                    // SAFETY: no other thread has this key head, and so none has its query heads.
                    unsafe { columns.write(token, query_head * d, out) };
                }
            }
        },
    );
    // SAFETY: every block of every query head of every key head has been written.
    let output = unsafe { output.written(length) };
    fresh(output, [shape.tokens, width].into())
}

/// Gradients of `q`, `k` and `v`.
pub(super) fn backward(inputs: &AttentionInputs<Flex>, dy: &FlexTensor) -> [FlexTensor; 3] {
    let dy = contiguous(dy);
    let inputs = Inputs::new(inputs);
    let shape = inputs.shape;
    let widths = [shape.query_width(), shape.key_width(), shape.key_width()];
    let mut outputs = widths.map(|width| Output::new(shape.tokens * width));
    let mut of_width = outputs
        .iter_mut()
        .zip(widths)
        .map(|(output, width)| Columns::new(output.elements(shape.tokens * width), width));
    let [Some(dq), Some(dk), Some(dv)] = [(); 3].map(|()| of_width.next()) else {
        unreachable!("three outputs")
    };
    drop(of_width);
    shape.key_heads().for_each_init(
        || Room::new(&shape),
        |room, head| {
            inputs.rotate_keys(head, &mut room.keys);
            room.dkeys.fill(0.0);
            room.dvalues.fill(0.0);
            for (query_head, block) in shape.blocks(head) {
                inputs.backward_block(head, query_head, block, slice(&dy), room, &dq);
            }
            inputs.write_key_head(head, room, &dk, &dv);
        },
    );
    let mut outputs = outputs.into_iter().zip(widths).map(|(output, width)| {
        // SAFETY: every row of every head has been written.
        let output = unsafe { output.written(shape.tokens * width) };
        fresh(output, [shape.tokens, width].into())
    });
    [(); 3].map(|()| {
        outputs
            .next()
            .unwrap_or_else(|| unreachable!("three outputs"))
    })
}

/// What a thread works with.
struct Room {
    /// Rotated keys of a head, `[length, head_dim]`.
    keys: Vec<f32>,
    /// Rotated and scaled queries of a block, `[count, head_dim]`.
    queries: Vec<f32>,
    /// Scores and then weights of a block, `[count, seen]`.
    scores: Vec<f32>,
    /// Gradients of the scores of a block, `[count, seen]`.
    dscores: Vec<f32>,
    /// Results of a block, `[count, head_dim]`.
    out: Vec<f32>,
    /// Gradient of the rotated keys of a head, `[length, head_dim]`.
    dkeys: Vec<f32>,
    /// Gradient of the values of a head, `[length, head_dim]`.
    dvalues: Vec<f32>,
}

impl Room {
    fn new(shape: &Shape) -> Self {
        let d = shape.heads.head_dim;
        let [whole, part] = [shape.length, Block::MOST.min(shape.length)];
        let room = |rows: usize, columns: usize| vec![0.0; rows * columns];
        Self {
            keys: room(whole, d),
            queries: room(part, d),
            scores: room(part, whole),
            dscores: room(part, whole),
            out: room(part, d),
            dkeys: room(whole, d),
            dvalues: room(whole, d),
        }
    }
}

/// What attention takes, contiguous.
struct Inputs {
    shape: Shape,
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    cos: FlexTensor,
    sin: FlexTensor,
    /// `1 / sqrt(head_dim)`.
    scale: f32,
}

impl Inputs {
    fn new(inputs: &AttentionInputs<Flex>) -> Self {
        Self {
            shape: Shape::new(inputs),
            q: contiguous(&inputs.q),
            k: contiguous(&inputs.k),
            v: contiguous(&inputs.v),
            cos: contiguous(&inputs.cos),
            sin: contiguous(&inputs.sin),
            scale: 1.0 / (inputs.heads.head_dim as f32).sqrt(),
        }
    }

    /// Cosines and sines from a position on.
    fn angles(&self, position: usize) -> Angles<'_> {
        let half = self.shape.heads.head_dim / 2;
        Angles {
            cos: &slice(&self.cos)[position * half..],
            sin: &slice(&self.sin)[position * half..],
            half,
        }
    }

    fn rotate_keys(&self, head: KeyHead, keys: &mut [f32]) {
        let (width, d) = (self.shape.key_width(), self.shape.heads.head_dim);
        let start = self.shape.token(head, 0) * width + head.head * d;
        rotate(&slice(&self.k)[start..], width, self.angles(0), 1.0, keys);
    }

    /// The values that a block sees, `[seen, head_dim]`.
    fn values(&self, head: KeyHead, block: Block) -> Matrix<'_> {
        let (width, d) = (self.shape.key_width(), self.shape.heads.head_dim);
        let start = self.shape.token(head, 0) * width + head.head * d;
        Matrix::strided(&slice(&self.v)[start..], block.seen(), d, width)
    }

    /// The block's queries, and its attention weights in the place of the scores.
    fn weights(&self, head: KeyHead, query_head: usize, block: Block, room: &mut Room) {
        let (d, seen) = (self.shape.heads.head_dim, block.seen());
        let queries = &mut room.queries[..block.count * d];
        let width = self.shape.query_width();
        let start = self.shape.token(head, block.start) * width + query_head * d;
        let angles = self.angles(block.start);
        rotate(&slice(&self.q)[start..], width, angles, self.scale, queries);
        let queries = Matrix::new(queries, block.count, d);
        let keys = Matrix::new(&room.keys, seen, d);
        let scores = &mut room.scores[..block.count * seen];
        queries.times_over(keys.t(), 1.0, scores, seen, Threads::This);
        for (row, scores) in scores.chunks_mut(seen).enumerate() {
            softmax(scores, block.start + row + 1);
        }
    }

    /// Writes the block's part of `dq`, and adds its parts of the gradients of keys and values.
    fn backward_block(
        &self,
        head: KeyHead,
        query_head: usize,
        block: Block,
        dy: &[f32],
        room: &mut Room,
        dq: &Columns<'_>,
    ) {
        self.weights(head, query_head, block, room);
        let (d, seen, width) = (
            self.shape.heads.head_dim,
            block.seen(),
            self.shape.query_width(),
        );
        let first = self.shape.token(head, block.start) * width + query_head * d;
        let dy = Matrix::strided(&dy[first..], block.count, d, width);
        let dscores = &mut room.dscores[..block.count * seen];
        dy.times_over(
            self.values(head, block).t(),
            1.0,
            dscores,
            seen,
            Threads::This,
        );
        let rows = dscores.chunks_mut(seen).zip(room.scores.chunks(seen));
        for (row, (dscores, weights)) in rows.enumerate() {
            softmax_backward(weights, dscores, block.start + row + 1);
        }
        let dscores = Matrix::new(dscores, block.count, seen);
        let out = &mut room.out[..block.count * d];
        let keys = Matrix::new(&room.keys, seen, d);
        dscores.times_over(keys, self.scale, out, d, Threads::This);
        rotate_back(out, self.angles(block.start));
        for (row, out) in out.chunks(d).enumerate() {
            let token = self.shape.token(head, block.start + row);
            // SAFETY: no other thread has this key head, and so none has its query heads.
            unsafe { dq.write(token, query_head * d, out) };
        }
        let queries = Matrix::new(&room.queries, block.count, d);
        dscores
            .t()
            .times_onto(queries, 1.0, &mut room.dkeys, d, Threads::This);
        let weights = Matrix::new(&room.scores, block.count, seen);
        weights
            .t()
            .times_onto(dy, 1.0, &mut room.dvalues, d, Threads::This);
    }

    fn write_key_head(&self, head: KeyHead, room: &mut Room, dk: &Columns<'_>, dv: &Columns<'_>) {
        let d = self.shape.heads.head_dim;
        rotate_back(&mut room.dkeys, self.angles(0));
        let rows = room.dkeys.chunks(d).zip(room.dvalues.chunks(d));
        for (position, (dkey, dvalue)) in rows.enumerate() {
            let token = self.shape.token(head, position);
            // SAFETY: no other thread has this key head.
            unsafe {
                dk.write(token, head.head * d, dkey);
                dv.write(token, head.head * d, dvalue);
            }
        }
    }
}
