//! The output layer and its loss, a few tokens at a time: the logits of a large vocabulary are never stored for all tokens
//! together, and are replaced by their gradients.

mod kernel;

use super::launch::Launch;
use super::product::{product, product_to};
use super::sums::sum;
use super::tensors::contiguous;
use crate::Precision;
use crate::kernels::{Kernels, LinearCrossEntropyBackward};
use crate::operations::LinearCrossEntropy;
use crate::primitive::{primitive, tensor};
use burn::tensor::{DType, Int, Shape, Tensor};
pub(super) use kernel::losses_of_chunk;

/// Maximal number of logits at a time: 128 MiB in f32, the largest buffer that every device supports.
pub(super) const LOGITS: usize = 1 << 25;

/// Tokens of a chunk are a multiple of this, if there are more.
const TILE: usize = 128;

impl<B: Launch> LinearCrossEntropy<B> for Kernels {
    fn linear_cross_entropy(
        &self,
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
        precision: Precision,
    ) -> Tensor<B, 1> {
        Head::new(hidden, weight, targets, precision).loss(LOGITS)
    }
}

impl<B: Launch> LinearCrossEntropyBackward<B> for Kernels {
    fn linear_cross_entropy_with_gradients(
        &self,
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
        precision: Precision,
    ) -> (Tensor<B, 1>, [Tensor<B, 2>; 2]) {
        Head::new(hidden, weight, targets, precision).loss_and_gradients(LOGITS)
    }

    fn scaled(&self, gradient: Tensor<B, 2>, dy: Tensor<B, 1>) -> Tensor<B, 2> {
        gradient * dy.reshape([1, 1])
    }
}

/// Hidden states and output layer in the dtype of products, and targets.
pub(super) struct Head<B: Launch> {
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
}

impl<B: Launch> Head<B> {
    pub fn new(
        hidden: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        targets: Tensor<B, 1, Int>,
        precision: Precision,
    ) -> Self {
        Self {
            hidden: precision.round(hidden),
            weight: precision.round(weight),
            targets,
        }
    }

    /// The loss, with at most `logits` logits at a time.
    pub fn loss(&self, logits: usize) -> Tensor<B, 1> {
        let losses = self.chunks(logits).map(|(hidden, targets)| {
            let logits = product_to(hidden, self.weight.clone(), self.weight.dtype());
            losses_of_chunk(logits, targets, None).0
        });
        mean(losses.collect())
    }

    /// The loss, and the gradients of the hidden states and of the weight, with at most `logits` logits at a time.
    pub fn loss_and_gradients(&self, logits: usize) -> (Tensor<B, 1>, [Tensor<B, 2>; 2]) {
        let each = 1.0 / self.tokens() as f32;
        let (mut losses, mut dhidden, mut dweight) = (vec![], vec![], None::<Tensor<B, 2>>);
        for (hidden, targets) in self.chunks(logits) {
            // [tokens, vocabulary]
            let logits = product_to(hidden.clone(), self.weight.clone(), self.weight.dtype());
            let (loss, dlogits) = losses_of_chunk(logits, targets, Some(each));
            let of_hidden = product(dlogits.clone(), self.weight.clone().transpose());
            let of_weight = product(hidden.transpose(), dlogits);
            losses.push(loss);
            dhidden.push(of_hidden);
            dweight = Some(match dweight {
                Some(sum) => sum + of_weight,
                None => of_weight,
            });
        }
        let dweight = dweight.unwrap_or_else(|| self.weight.zeros_like());
        (mean(losses), [together(dhidden), dweight])
    }

    fn tokens(&self) -> usize {
        self.hidden.dims()[0]
    }

    /// Hidden states and targets of chunks with at most `logits` logits. Without tokens, one empty chunk.
    fn chunks(
        &self,
        logits: usize,
    ) -> impl Iterator<Item = (Tensor<B, 2>, Tensor<B, 1, Int>)> + '_ {
        let (tokens, vocabulary) = (self.tokens(), self.weight.dims()[1]);
        let each = (logits / vocabulary.max(1)).max(1);
        // Products of whole tiles; those of any other number of tokens were several times slower.
        let each = if each > TILE {
            each / TILE * TILE
        } else {
            each
        };
        let starts = (0..tokens.max(1)).step_by(each);
        starts.map(move |start| match tokens <= each {
            true => (self.hidden.clone(), self.targets.clone()),
            false => {
                let end = (start + each).min(tokens);
                let hidden = self
                    .hidden
                    .clone()
                    .slice([start..end, 0..self.hidden.dims()[1]]);
                (hidden, self.targets.clone().slice(start..end))
            }
        })
    }
}

/// The concatenation of parts along the first dimension.
fn together<B: Launch, const D: usize>(mut parts: Vec<Tensor<B, D>>) -> Tensor<B, D> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

/// The mean of the losses of all chunks, `[1]`.
fn mean<B: Launch>(losses: Vec<Tensor<B, 1>>) -> Tensor<B, 1> {
    let losses = together(losses);
    let each = 1.0 / losses.dims()[0] as f32;
    let outputs = [(Shape::from([1]), DType::F32)];
    let [mean] = B::launch(
        "mean_loss",
        [primitive(losses)],
        outputs,
        move |[losses]| [sum(contiguous(losses), false, each)],
    );
    tensor(mean)
}
