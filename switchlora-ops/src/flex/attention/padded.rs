//! Rows of a head as the small products of attention read and write them.

use super::rotary::{Angles, rotate};
use super::softmax::LANES;
use super::tile::{COLUMNS, Small};
use crate::Precision;
use crate::flex::matrix::Matrix;
use crate::flex::product::small_by_units;

/// Rows of a head, each padded with zeros to whole tiles.
pub(super) struct Padded {
    pub elements: Vec<f32>,
    pub head_dim: usize,
    /// `head_dim` with padding.
    pub width: usize,
}

impl Padded {
    pub fn new(rows: usize, head_dim: usize) -> Self {
        let width = head_dim.next_multiple_of(COLUMNS);
        Self {
            elements: vec![0.0; rows * width],
            head_dim,
            width,
        }
    }

    /// The first `count` rows without padding.
    fn matrix(&self, count: usize) -> Matrix<'_> {
        Matrix::strided(&self.elements, count, self.head_dim, self.width)
    }

    /// Copies `count` rows, `stride` elements apart in `from`, and sets the other rows to zero.
    pub fn load(&mut self, from: &[f32], stride: usize, count: usize) {
        let (rows, rest) = self.elements.split_at_mut(count * self.width);
        for (to, from) in rows.chunks_mut(self.width).zip(from.chunks(stride)) {
            to[..self.head_dim].copy_from_slice(&from[..self.head_dim]);
        }
        rest.fill(0.0);
    }

    /// As [`load`](Self::load), with each row rotated and multiplied by `factor`.
    pub fn load_rotated(
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

    /// Replaces the rows by `left right`.
    pub fn set_product(&mut self, left: Matrix<'_>, right: &Self, precision: Precision) {
        self.product(left, right, false, precision);
    }

    /// Adds `left right` to the rows.
    pub fn add_product(&mut self, left: Matrix<'_>, right: &Self, precision: Precision) {
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

/// `product: [rows, LANES] = left blockᵀ` for the first `rows` rows of `left` and the rows of a block of queries.
///
/// `transposed: [head_dim, LANES]` is scratch memory.
pub(super) fn products_with_block(
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
