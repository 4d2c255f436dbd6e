//! How attention is divided: into sequences, key heads, the query heads that share a key head, and blocks of queries.

use super::softmax::LANES;
use crate::{Attention, Heads};
use burn_flex::Flex;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// The sizes of one attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Number of tokens of all sequences.
    pub tokens: usize,
    /// Number of tokens per sequence.
    pub length: usize,
    pub heads: Heads,
}

/// One key head of one sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHead {
    pub sequence: usize,
    pub head: usize,
}

/// Consecutive queries of one head, at most [`LANES`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Position of the first query.
    pub start: usize,
    pub count: usize,
}

impl Block {
    /// Number of keys that the last query of the block attends to.
    pub fn seen(self) -> usize {
        self.start + self.count
    }
}

impl Shape {
    pub fn new(attention: &Attention<Flex>) -> Self {
        Self {
            tokens: attention.q.dims()[0],
            length: attention.tables.cos.dims()[0],
            heads: attention.heads,
        }
    }

    /// Number of columns of the queries.
    pub fn query_width(&self) -> usize {
        self.heads.queries * self.heads.head_dim
    }

    /// Number of columns of the keys.
    pub fn key_width(&self) -> usize {
        self.heads.keys * self.heads.head_dim
    }

    /// Every key head of every sequence, in parallel.
    pub fn key_heads(self) -> impl IndexedParallelIterator<Item = KeyHead> {
        let keys = self.heads.keys;
        let all = (0..self.tokens / self.length * keys).into_par_iter();
        all.map(move |i| KeyHead {
            sequence: i / keys,
            head: i % keys,
        })
    }

    /// Every block of every query head that shares a key head.
    pub fn blocks(&self, head: KeyHead) -> impl Iterator<Item = (usize, Block)> + use<> {
        let (shared, length) = (self.heads.queries / self.heads.keys, self.length);
        let queries = head.head * shared..(head.head + 1) * shared;
        queries.flat_map(move |query_head| {
            (0..length).step_by(LANES).map(move |start| {
                let count = LANES.min(length - start);
                (query_head, Block { start, count })
            })
        })
    }

    /// Row in the tensors of a position in the sequence of `head`.
    pub fn token(&self, head: KeyHead, position: usize) -> usize {
        head.sequence * self.length + position
    }
}

/// A matrix that several threads write, each to its own columns.
pub(super) struct Columns<'a> {
    start: *mut MaybeUninit<f32>,
    length: usize,
    width: usize,
    elements: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: it only writes, and the caller of `write` ensures that no two threads write the same element.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// A matrix with rows of `width` elements.
    pub fn new(elements: &'a mut [MaybeUninit<f32>], width: usize) -> Self {
        Self {
            start: elements.as_mut_ptr(),
            length: elements.len(),
            width,
            elements: PhantomData,
        }
    }

    /// Writes `values` to a row, from `column` on.
    ///
    /// # Safety
    ///
    /// No other thread writes these elements at the same time.
    pub unsafe fn write(&self, row: usize, column: usize, values: &[f32]) {
        let first = row * self.width + column;
        assert!(first + values.len() <= self.length);
        // SAFETY: inside, as asserted, and written by this thread alone.
        unsafe {
            let to = self.start.add(first).cast::<f32>();
            to.copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
    }
}
