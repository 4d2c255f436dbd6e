//! The output layer and its loss, a few hundred tokens at a time: the logits of all tokens are never stored together.

use super::exponential::exponentials;
use super::matrix::Matrix;
use super::output::{Output, written};
use super::product::{Multiplier, Product};
use super::reduce::{scale, scale_block};
use super::slices::{
    contiguous, forwards, fresh, indices, matrix, owned, rows_and_columns, scalar,
};
use crate::Precision;
use crate::kernels::{Kernels, LinearCrossEntropyBackward};
use crate::logits::logits_together;
use crate::operations::LinearCrossEntropy;
use crate::primitive::tensor;
use burn::tensor::{Int, Tensor};
use burn_flex::Flex;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Rows of logits that a thread takes at a time.
const ROWS: usize = 8;

impl LinearCrossEntropy<Flex> for Kernels {
    fn linear_cross_entropy(
        &self,
        hidden: Tensor<Flex, 2>,
        weight: Tensor<Flex, 2>,
        targets: Tensor<Flex, 1, Int>,
        precision: Precision,
    ) -> Tensor<Flex, 1> {
        let (hidden, weight, targets) = (contiguous(hidden), forwards(weight), indices(targets));
        let mut sum = 0.0;
        let (rows, head) = (matrix(&hidden), matrix(&weight));
        each_chunk(rows, head, &targets, precision, |mut chunk| {
            sum += chunk.loss(None);
        });
        mean(sum, targets.len())
    }
}

impl LinearCrossEntropyBackward<Flex> for Kernels {
    /// The gradient of the weight has the memory layout of the weight, transposed or not.
    fn linear_cross_entropy_with_gradients(
        &self,
        hidden: Tensor<Flex, 2>,
        weight: Tensor<Flex, 2>,
        targets: Tensor<Flex, 1, Int>,
        precision: Precision,
    ) -> (Tensor<Flex, 1>, [Tensor<Flex, 2>; 2]) {
        let (hidden, weight, targets) = (contiguous(hidden), forwards(weight), indices(targets));
        let (rows, head) = (matrix(&hidden), matrix(&weight));
        let [width, vocabulary] = rows_and_columns(&weight);
        let transposed = head.column_stride != 1;
        let mut dhidden = Output::new(targets.len() * width);
        let mut dweight = Output::new(width * vocabulary);
        let each = 1.0 / targets.len() as f32;
        let mut sum = 0.0;
        each_chunk(rows, head, &targets, precision, |mut chunk| {
            sum += chunk.loss(Some(each));
            let dlogits = Matrix::new(chunk.logits, chunk.targets.len(), vocabulary);
            let (first, start) = (chunk.start == 0, chunk.start * width);
            let of_hidden = &mut dhidden.elements(targets.len() * width)[start..];
            let of_hidden = Product::new(dlogits, head.t(), 1.0).into(of_hidden, width);
            let (of_weight, columns) = match transposed {
                true => (Product::new(dlogits.t(), chunk.hidden, 1.0), width),
                false => (Product::new(chunk.hidden.t(), dlogits, 1.0), vocabulary),
            };
            let sum = dweight.elements(width * vocabulary);
            let of_weight = match first {
                true => of_weight.into(sum, columns),
                // SAFETY: the first chunk has written every element.
                false => of_weight.onto(unsafe { written(sum) }, columns),
            };
            // They share no operand, and in bf16 each is computed from copies of its operands.
            for product in [of_hidden, of_weight] {
                Multiplier::new(precision).compute(&mut [product]);
            }
        });
        if targets.is_empty() {
            dweight
                .elements(width * vocabulary)
                .fill(MaybeUninit::new(0.0));
        }
        // SAFETY: the first chunk has written every element, or the zeros have.
        let dweight = unsafe { dweight.written(width * vocabulary) };
        // SAFETY: the chunks cover all tokens, and the rows of each have been written.
        let dhidden = unsafe { dhidden.written(targets.len() * width) };
        let dweight = match transposed {
            true => fresh(dweight, [vocabulary, width]).transpose(),
            false => fresh(dweight, [width, vocabulary]),
        };
        let dhidden = fresh(dhidden, [targets.len(), width]);
        (mean(sum, targets.len()), [dhidden, dweight])
    }

    fn scaled(&self, gradient: Tensor<Flex, 2>, dy: Tensor<Flex, 1>) -> Tensor<Flex, 2> {
        let factor = scalar(dy);
        if factor == 1.0 {
            return gradient;
        }
        let mut gradient = owned(gradient);
        scale(gradient.storage_mut(), factor);
        tensor(gradient)
    }
}

/// A few tokens with their logits.
struct Chunk<'a> {
    /// Index of the first token.
    start: usize,
    hidden: Matrix<'a>,
    targets: &'a [usize],
    logits: &'a mut [f32],
}

impl Chunk<'_> {
    /// The sum of the losses of the tokens. With `gradient`, the gradient of each loss, the logits are replaced by their
    /// gradients.
    fn loss(&mut self, gradient: Option<f32>) -> f64 {
        let vocabulary = self.logits.len() / self.targets.len();
        let rows = self.logits.par_chunks_mut(vocabulary * ROWS);
        let rows = rows.zip(self.targets.par_chunks(ROWS));
        let losses: Vec<f64> = rows
            .map(|(rows, targets)| {
                let rows = rows.chunks_mut(vocabulary).zip(targets);
                rows.map(|(row, &target)| loss_of_row(row, target, gradient))
                    .sum()
            })
            .collect();
        // In order, so that the sum does not depend on which thread was first.
        losses.into_iter().sum()
    }
}

fn loss_of_row(logits: &mut [f32], target: usize, gradient: Option<f32>) -> f64 {
    let logit = f64::from(logits[target]);
    let (most, sum) = exponentials(logits);
    if let Some(gradient) = gradient {
        scale_block(logits, gradient / sum);
        logits[target] -= gradient;
    }
    f64::from(sum).ln() + f64::from(most) - logit
}

/// Computes the logits of a few tokens at a time and calls `then` with each chunk.
fn each_chunk(
    hidden: Matrix<'_>,
    weight: Matrix<'_>,
    targets: &[usize],
    precision: Precision,
    mut then: impl FnMut(Chunk<'_>),
) {
    let vocabulary = weight.columns;
    let tokens = logits_together(targets.len(), vocabulary);
    let mut room = Output::new(tokens * vocabulary);
    for (index, targets) in targets.chunks(tokens).enumerate() {
        let hidden = hidden.rows(index * tokens, targets.len());
        let room = room.elements(targets.len() * vocabulary);
        let logits = Product::new(hidden, weight, 1.0).into(room, vocabulary);
        Multiplier::new(precision).compute(&mut [logits]);
        // SAFETY: the product has just been written, all rows of it.
        let logits = unsafe { written(room) };
        then(Chunk {
            start: index * tokens,
            hidden,
            targets,
            logits,
        });
    }
}

fn mean(sum: f64, count: usize) -> Tensor<Flex, 1> {
    fresh(vec![(sum / count as f64) as f32], [1])
}
