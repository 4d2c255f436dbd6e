//! Embedding: copies rows of a table, and adds up the gradients of each row.

use super::output::{Output, written};
use super::slices::{contiguous, fresh, indices, rows_and_columns, slice};
use crate::kernels::{EmbeddingBackward, Kernels};
use crate::operations::Embedding;
use burn::tensor::{Int, Tensor};
use burn_flex::Flex;
use rayon::prelude::*;

/// Elements that a thread sets to zero at a time.
const BLOCK: usize = 1 << 16;

impl Embedding<Flex> for Kernels {
    fn embedding(&self, weight: Tensor<Flex, 2>, tokens: Tensor<Flex, 1, Int>) -> Tensor<Flex, 2> {
        let (weight, tokens) = (contiguous(weight), indices(tokens));
        let [_, width] = rows_and_columns(&weight);
        let table = slice(&weight);
        let mut rows = Vec::with_capacity(tokens.len() * width);
        for &token in &tokens {
            rows.extend_from_slice(&table[token * width..][..width]);
        }
        fresh(rows, [tokens.len(), width])
    }
}

impl EmbeddingBackward<Flex> for Kernels {
    /// Gradients are added in the order of the tokens, whatever the number of threads.
    fn embedding_backward(
        &self,
        tokens: Tensor<Flex, 1, Int>,
        vocabulary: usize,
        dy: Tensor<Flex, 2>,
    ) -> Tensor<Flex, 2> {
        let (tokens, dy) = (indices(tokens), contiguous(dy));
        let [_, width] = rows_and_columns(&dy);
        let length = vocabulary * width;
        let mut gradient = Output::new(length);
        let elements = gradient.elements(length);
        elements.par_chunks_mut(BLOCK).for_each(|block| {
            block.iter_mut().for_each(|element| _ = element.write(0.0));
        });
        // SAFETY: every element has just been written.
        let table = unsafe { written(elements) };
        for (&token, dy) in tokens.iter().zip(slice(&dy).chunks(width.max(1))) {
            let row = &mut table[token * width..][..width];
            row.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
        }
        // SAFETY: every element was written above.
        let gradient = unsafe { gradient.written(length) };
        fresh(gradient, [vocabulary, width])
    }
}
