//! The inputs of attention, and what one thread computes from them for one block of queries.

use super::heads::{Block, Columns, KeyHead, Shape};
use super::padded::{Padded, products_with_block};
use super::rotary::{Angles, rotate_back};
use super::softmax::{LANES, softmax, softmax_backward};
use crate::flex::matrix::Matrix;
use crate::flex::slices::{contiguous, slice};
use crate::{Attention, Precision};
use burn_flex::{Flex, FlexTensor};

/// Memory of one thread. A block of queries has [`LANES`] rows.
pub(super) struct Room {
    /// Rotated keys of a head, `[length, head_dim]`.
    keys: Padded,
    /// Values of a head, `[length, head_dim]`.
    pub values: Padded,
    /// Rotated and scaled queries of a block, `[block, head_dim]`.
    queries: Padded,
    /// Gradient of the output of a block, `[block, head_dim]`.
    dy: Padded,
    /// `queries` or `dy`, transposed, `[head_dim, LANES]`.
    transposed: Vec<f32>,
    /// Scores of a block, replaced by its attention weights, `[length, LANES]`.
    pub scores: Vec<f32>,
    /// Gradients of the scores of a block, `[length, LANES]`.
    dscores: Vec<f32>,
    /// Results of a block, `[block, head_dim]`.
    pub out: Padded,
    /// Gradient of the rotated keys of a head, `[length, head_dim]`.
    pub dkeys: Padded,
    /// Gradient of the values of a head, `[length, head_dim]`.
    pub dvalues: Padded,
}

impl Room {
    pub fn new(shape: &Shape) -> Self {
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

/// The inputs of attention, contiguous.
pub(super) struct Inputs {
    pub shape: Shape,
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    cos: FlexTensor,
    sin: FlexTensor,
    /// `1 / sqrt(head_dim)`.
    scale: f32,
    pub precision: Precision,
}

impl Inputs {
    pub fn new(inputs: Attention<Flex>, precision: Precision) -> Self {
        Self {
            shape: Shape::new(&inputs),
            q: contiguous(inputs.q),
            k: contiguous(inputs.k),
            v: contiguous(inputs.v),
            cos: contiguous(inputs.tables.cos),
            sin: contiguous(inputs.tables.sin),
            scale: 1.0 / (inputs.heads.head_dim as f32).sqrt(),
            precision,
        }
    }

    /// The rotation angles from a position on.
    pub fn angles(&self, position: usize) -> Angles<'_> {
        let half = self.shape.heads.head_dim / 2;
        Angles {
            cos: &slice(&self.cos)[position * half..],
            sin: &slice(&self.sin)[position * half..],
            half,
        }
    }

    /// Copies the rotated keys and the values of a key head to `room`.
    pub fn load_key_head(&self, head: KeyHead, room: &mut Room) {
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

    /// Index of the first element of a block of a query head.
    fn start(&self, head: KeyHead, query_head: usize, block: Block) -> usize {
        let (width, d) = (self.shape.query_width(), self.shape.heads.head_dim);
        self.shape.token(head, block.start) * width + query_head * d
    }

    /// Computes the rotated queries and the attention weights of a block, in `queries` and `scores` of `room`.
    pub fn weights(&self, head: KeyHead, query_head: usize, block: Block, room: &mut Room) {
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

    /// Computes the gradient of the queries of a block in `out`, and adds its terms to the gradients of keys and values.
    pub fn backward_block(
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

    /// Copies the rows of a block of a head to the columns of head `column_head` in `to`.
    ///
    /// # Safety
    ///
    /// No other thread writes these elements at the same time.
    pub unsafe fn write(
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
            // SAFETY: the caller ensures it.
            unsafe { to.write(first + row, column_head * elements.len(), elements) };
        }
    }
}
