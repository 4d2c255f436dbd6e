//! How attention is divided: sequences, key heads, the query heads that share them, blocks of queries.

use super::softmax::LANES;
use crate::Heads;
use crate::kernels::AttentionInputs;
use burn_flex::Flex;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// The sizes of one attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Tokens of all sequences.
    pub tokens: usize,
    /// Tokens of a sequence.
    pub length: usize,
    pub heads: Heads,
}

/// A key head of a sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHead {
    pub sequence: usize,
    pub head: usize,
}

/// Queries that follow each other, as many as there are lanes, or fewer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Position of the first.
    pub start: usize,
    pub count: usize,
}

impl Block {
    /// Keys that the last query of the block may look at.
    pub fn seen(self) -> usize {
        self.start + self.count
    }
}

impl Shape {
    pub fn new(inputs: &AttentionInputs<Flex>) -> Self {
        Self {
            tokens: inputs.q.layout().shape()[0],
            length: inputs.cos.layout().shape()[0],
            heads: inputs.heads,
        }
    }

    /// Columns of queries.
    pub fn query_width(&self) -> usize {
        self.heads.queries * self.heads.head_dim
    }

    /// Columns of keys.
    pub fn key_width(&self) -> usize {
        self.heads.keys * self.heads.head_dim
    }

    /// Every key head of every sequence, by as many threads as there are.
    pub fn key_heads(self) -> impl IndexedParallelIterator<Item = KeyHead> {
        let keys = self.heads.keys;
        let all = (0..self.tokens / self.length * keys).into_par_iter();
        all.map(move |i| KeyHead {
            sequence: i / keys,
            head: i % keys,
        })
    }

    /// The query heads that share a key head, and the blocks of each.
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

    /// The row of a position of a head's sequence.
    pub fn token(&self, head: KeyHead, position: usize) -> usize {
        head.sequence * self.length + position
    }
}

/// A matrix whose columns several threads write.
pub(super) struct Columns<'a> {
    start: *mut MaybeUninit<f32>,
    length: usize,
    width: usize,
    elements: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: it only writes, and its one method asks that no two threads write the same elements.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// Of rows of `width` elements.
    pub fn new(elements: &'a mut [MaybeUninit<f32>], width: usize) -> Self {
        Self {
            start: elements.as_mut_ptr(),
            length: elements.len(),
            width,
            elements: PhantomData,
        }
    }

    /// Writes a part of a row.
    ///
    /// # Safety
    ///
    /// No other thread writes these elements.
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
