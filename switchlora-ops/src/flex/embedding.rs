//! Rows of a table, and their gradients added up.

use super::output::{Output, written};
use super::slices::{contiguous, fresh, indices, rows_and_columns, slice};
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Elements that a thread fills at a time.
const BLOCK: usize = 1 << 16;

/// The rows of `weight` that `tokens` name.
pub(super) fn forward(weight: &FlexTensor, tokens: &FlexTensor) -> FlexTensor {
    let (weight, tokens) = (contiguous(weight), indices(tokens));
    let [_, width] = rows_and_columns(&weight);
    let table = slice(&weight);
    let mut rows = Vec::with_capacity(tokens.len() * width);
    for &token in &tokens {
        rows.extend_from_slice(&table[token * width..][..width]);
    }
    fresh(rows, [tokens.len(), width].into())
}

/// The gradient of the table, `[vocabulary, width]`. Rows are added in the order of the tokens, whatever the threads.
pub(super) fn backward(tokens: &FlexTensor, vocabulary: usize, dy: &FlexTensor) -> FlexTensor {
    let (tokens, dy) = (indices(tokens), contiguous(dy));
    let [_, width] = rows_and_columns(&dy);
    let length = vocabulary * width;
    let mut gradient = Output::new(length);
    let elements = gradient.elements(length);
    elements.par_chunks_mut(BLOCK).for_each(|block| {
        block.iter_mut().for_each(|element| _ = element.write(0.0));
    });
    // SAFETY: all of it has just been written.
    let table = unsafe { written(elements) };
    for (&token, dy) in tokens.iter().zip(slice(&dy).chunks(width.max(1))) {
        let row = &mut table[token * width..][..width];
        row.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
    }
    // SAFETY: all of it was written before anything was added.
    let gradient = unsafe { gradient.written(length) };
    fresh(gradient, [vocabulary, width].into())
}
