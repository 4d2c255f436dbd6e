//! Causal attention, a block of queries of one head at a time: only such a block's scores are ever there, and of those
//! only the ones up to the block's last key. The backward makes them again. Threads take whole key heads.
//!
//! Scores lie transposed, `[keys, LANES]`, one query in each lane. Heads are copied out of the tensors, with the rows of
//! those that are a right side filled up to whole tiles; fewer queries than lanes, with zeros.

use super::heads::{Block, Columns, KeyHead, Shape};
use super::matrix::Matrix;
use super::output::Output;
use super::product::small_by_units;
use super::rotary::{Angles, rotate, rotate_back};
use super::slices::{contiguous, fresh, slice};
use super::softmax::{LANES, softmax, softmax_backward};
use super::tile::{COLUMNS, Small};
use crate::Precision;
use crate::kernels::AttentionInputs;
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

/// The attention of every head, `[tokens, queries * head_dim]`.
pub(super) fn forward(inputs: &AttentionInputs<Flex>) -> FlexTensor {
    let inputs = Inputs::new(inputs);
    let (shape, width) = (inputs.shape, inputs.shape.query_width());
    let length = shape.tokens * width;
    let mut output = Output::new(length);
    let columns = Columns::new(output.elements(length), width);
    shape.key_heads().for_each_init(
        || Room::new(&shape),
        |room, head| {
            inputs.load_key_head(head, room);
            for (query_head, block) in shape.blocks(head) {
                inputs.weights(head, query_head, block, room);
                let weights = Matrix::new(&room.scores, block.seen(), LANES).t();
                room.out
                    .set_product(weights, &room.values, inputs.precision);
                // SAFETY: no other thread has this key head, and so none has its query heads.
                unsafe { inputs.write(&room.out, head, block, query_head, &columns) };
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
    let (queries, keys) = (shape.query_width(), shape.key_width());
    let [mut q, mut k, mut v] =
        [queries, keys, keys].map(|width| Output::new(shape.tokens * width));
    let dq = Columns::new(q.elements(shape.tokens * queries), queries);
    let dk = Columns::new(k.elements(shape.tokens * keys), keys);
    let dv = Columns::new(v.elements(shape.tokens * keys), keys);
    let whole = Block {
        start: 0,
        count: shape.length,
    };
    shape.key_heads().for_each_init(
        || Room::new(&shape),
        |room, head| {
            inputs.load_key_head(head, room);
            room.dkeys.elements.fill(0.0);
            room.dvalues.elements.fill(0.0);
            for (query_head, block) in shape.blocks(head) {
                inputs.backward_block(head, query_head, block, slice(&dy), room);
                // SAFETY: no other thread has this key head, and so none has its query heads.
                unsafe { inputs.write(&room.out, head, block, query_head, &dq) };
            }
            let (keys, width) = (&mut room.dkeys.elements, room.dkeys.width);
            rotate_back(keys, width, inputs.angles(0), 1.0);
            // SAFETY: no other thread has this key head.
            unsafe {
                inputs.write(&room.dkeys, head, whole, head.head, &dk);
                inputs.write(&room.dvalues, head, whole, head.head, &dv);
            }
        },
    );
    let outputs = [(q, queries), (k, keys), (v, keys)];
    outputs.map(|(output, width)| {
        // SAFETY: every row of every head has been written.
        let output = unsafe { output.written(shape.tokens * width) };
        fresh(output, [shape.tokens, width].into())
    })
}

/// Rows of a head, each filled up with zeros to whole tiles.
struct Padded {
    elements: Vec<f32>,
    head_dim: usize,
    /// `head_dim`, filled up.
    width: usize,
}

impl Padded {
    fn new(rows: usize, head_dim: usize) -> Self {
        let width = head_dim.next_multiple_of(COLUMNS);
        Self {
            elements: vec![0.0; rows * width],
            head_dim,
            width,
        }
    }

    /// The first `count` rows, without what they are filled up with.
    fn matrix(&self, count: usize) -> Matrix<'_> {
        Matrix::strided(&self.elements, count, self.head_dim, self.width)
    }

    /// Copies the first `count` rows from rows `stride` apart; the others become zero.
    fn load(&mut self, from: &[f32], stride: usize, count: usize) {
        let (rows, rest) = self.elements.split_at_mut(count * self.width);
        for (to, from) in rows.chunks_mut(self.width).zip(from.chunks(stride)) {
            to[..self.head_dim].copy_from_slice(&from[..self.head_dim]);
        }
        rest.fill(0.0);
    }

    /// As [`load`](Self::load), rotated and times `factor`.
    fn load_rotated(
        &mut self,
        from: &[f32],
        stride: usize,
        count: usize,
        angles: Angles<'_>,
        factor: f32,
    ) {
        let (rows, rest) = self.elements.split_at_mut(count * self.width);
        rotate(from, stride, angles, factor, rows, self.width);
        rest.fill(0.0);
    }

    /// `left right`.
    fn set_product(&mut self, left: Matrix<'_>, right: &Self, precision: Precision) {
        self.product(left, right, false, precision);
    }

    /// Adds `left right`.
    fn add_product(&mut self, left: Matrix<'_>, right: &Self, precision: Precision) {
        self.product(left, right, true, precision);
    }

    fn product(&mut self, left: Matrix<'_>, right: &Self, add: bool, precision: Precision) {
        let product = Small {
            left,
            right: &right.elements,
            product: &mut self.elements,
            columns: self.width,
            add,
            precision,
        };
        product.compute();
    }
}

/// What a thread works with; `block` is as many rows as there are lanes.
struct Room {
    /// Rotated keys of a head, `[length, head_dim]`.
    keys: Padded,
    /// Values of a head, `[length, head_dim]`.
    values: Padded,
    /// Rotated and scaled queries of a block, `[block, head_dim]`.
    queries: Padded,
    /// Gradient of what a block attended to, `[block, head_dim]`.
    dy: Padded,
    /// Queries of a block, or that gradient, `[head_dim, LANES]`.
    transposed: Vec<f32>,
    /// Scores and then weights of a block, `[length, LANES]`.
    scores: Vec<f32>,
    /// Gradients of the scores of a block, `[length, LANES]`.
    dscores: Vec<f32>,
    /// Results of a block, `[block, head_dim]`.
    out: Padded,
    /// Gradient of the rotated keys of a head, `[length, head_dim]`.
    dkeys: Padded,
    /// Gradient of the values of a head, `[length, head_dim]`.
    dvalues: Padded,
}

impl Room {
    fn new(shape: &Shape) -> Self {
        let d = shape.heads.head_dim;
        let whole = || Padded::new(shape.length, d);
        let block = || Padded::new(LANES, d);
        Self {
            keys: whole(),
            values: whole(),
            queries: block(),
            dy: block(),
            transposed: vec![0.0; d * LANES],
            scores: vec![0.0; shape.length * LANES],
            dscores: vec![0.0; shape.length * LANES],
            out: block(),
            dkeys: whole(),
            dvalues: whole(),
        }
    }
}

/// Products of the `rows` of `left` with the rows of a block, `[rows, LANES]`.
fn products_with_block(
    left: &Padded,
    rows: usize,
    block: &Padded,
    transposed: &mut [f32],
    product: &mut [f32],
    precision: Precision,
) {
    let (left, right) = (left.matrix(rows), block.matrix(LANES).t());
    if small_by_units(left, right, product, false, precision) {
        return;
    }
    for (column, to) in transposed.chunks_exact_mut(LANES).enumerate() {
        for (to, row) in to.iter_mut().zip(block.elements.chunks_exact(block.width)) {
            *to = row[column];
        }
    }
    let product = Small {
        left,
        right: transposed,
        product,
        columns: LANES,
        add: false,
        precision,
    };
    product.compute();
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
    precision: Precision,
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
            precision: inputs.precision,
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

    fn load_key_head(&self, head: KeyHead, room: &mut Room) {
        let (width, d) = (self.shape.key_width(), self.shape.heads.head_dim);
        let (start, length) = (
            self.shape.token(head, 0) * width + head.head * d,
            self.shape.length,
        );
        let keys = &slice(&self.k)[start..];
        room.keys
            .load_rotated(keys, width, length, self.angles(0), 1.0);
        room.values.load(&slice(&self.v)[start..], width, length);
    }

    /// Where a block of a query head starts.
    fn start(&self, head: KeyHead, query_head: usize, block: Block) -> usize {
        let (width, d) = (self.shape.query_width(), self.shape.heads.head_dim);
        self.shape.token(head, block.start) * width + query_head * d
    }

    /// The block's queries, and its attention weights in the place of the scores.
    fn weights(&self, head: KeyHead, query_head: usize, block: Block, room: &mut Room) {
        let (width, angles) = (self.shape.query_width(), self.angles(block.start));
        let queries = &slice(&self.q)[self.start(head, query_head, block)..];
        room.queries
            .load_rotated(queries, width, block.count, angles, self.scale);
        let scores = &mut room.scores[..block.seen() * LANES];
        let transposed = &mut room.transposed;
        let (seen, precision) = (block.seen(), self.precision);
        products_with_block(
            &room.keys,
            seen,
            &room.queries,
            transposed,
            scores,
            precision,
        );
        softmax(scores, block.start);
    }

    /// Leaves the block's `dq` in `out`, and adds its parts of the gradients of keys and values.
    fn backward_block(
        &self,
        head: KeyHead,
        query_head: usize,
        block: Block,
        dy: &[f32],
        room: &mut Room,
    ) {
        self.weights(head, query_head, block, room);
        let (seen, width) = (block.seen(), self.shape.query_width());
        let dy = &dy[self.start(head, query_head, block)..];
        room.dy.load(dy, width, block.count);
        let weights = &room.scores[..seen * LANES];
        let dscores = &mut room.dscores[..seen * LANES];
        let transposed = &mut room.transposed;
        let precision = self.precision;
        products_with_block(&room.values, seen, &room.dy, transposed, dscores, precision);
        softmax_backward(weights, dscores);
        let weights = Matrix::new(weights, seen, LANES);
        let dscores = Matrix::new(dscores, seen, LANES);
        room.dvalues.add_product(weights, &room.dy, precision);
        room.dkeys.add_product(dscores, &room.queries, precision);
        room.out.set_product(dscores.t(), &room.keys, precision);
        let out = &mut room.out;
        rotate_back(
            &mut out.elements[..block.count * out.width],
            out.width,
            self.angles(block.start),
            self.scale,
        );
    }

    /// Writes the rows of a block of a head.
    ///
    /// # Safety
    ///
    /// No other thread writes them.
    unsafe fn write(
        &self,
        rows: &Padded,
        head: KeyHead,
        block: Block,
        column_head: usize,
        to: &Columns<'_>,
    ) {
        let first = self.shape.token(head, block.start);
        let rows = rows
            .elements
            .chunks_exact(rows.width)
            .map(|row| &row[..rows.head_dim]);
        for (row, elements) in rows.take(block.count).enumerate() {
            // SAFETY: as the caller says.
            unsafe { to.write(first + row, column_head * elements.len(), elements) };
        }
    }
}
