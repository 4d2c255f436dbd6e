//! The cross-entropy in several chunks.

use super::Device;
use crate::Precision;
use crate::check::numbers::{numbers, put, tokens_of, values};
use crate::cube::cross_entropy::{Head, LOGITS, losses_of_chunk};
use crate::cube::launch::Launch;
use crate::tests::close::close;
use burn::tensor::{DType, Tensor};

/// The loss alone, and the loss with gradients, of 50 tokens with at most `logits` logits at a time.
fn computed<B: Launch>(logits: usize, tied: bool) -> [Vec<f64>; 4] {
    let (tokens, width, vocabulary) = (50, 9, 70);
    let input = |stream, shape| put::<B>(numbers(8, stream, shape), shape, DType::F32);
    let head = match tied {
        true => input(1, [vocabulary, width]).transpose(),
        false => input(1, [width, vocabulary]),
    };
    let targets = tokens_of::<B>(tokens, vocabulary, &Default::default());
    let head = Head::new(input(0, [tokens, width]), head, targets, Precision::F32);
    let (loss, [dhidden, dweight]) = head.loss_and_gradients(logits);
    let one = |loss: Tensor<B, 1>| loss.reshape([1, 1]);
    [one(head.loss(logits)), one(loss), dhidden, dweight].map(values)
}

pub(super) fn a_target_outside_the_vocabulary_has_no_loss<D: Device>() {
    for target in [70, -1] {
        let logits = put::<D::Fused>(numbers(8, 0, [2, 70]), [2, 70], DType::F32);
        let targets = Tensor::from_ints([3, target], &Default::default());
        let (losses, _) = losses_of_chunk::<D::Fused>(logits, targets, Some(0.5));
        let losses = values(losses);
        assert!(losses[0] > 0.0 && losses[1].is_nan(), "{losses:?}");
    }
}

pub(super) fn chunks_together_are_all_tokens<D: Device>() {
    for tied in [false, true] {
        let whole = computed::<D::Fused>(LOGITS, tied);
        // 16 tokens at a time, and the last two.
        let chunks = computed::<D::Fused>(16 * 70 + 5, tied);
        for (found, expected) in chunks.iter().zip(&whole) {
            // Another order of a few dozen terms.
            close(found, expected, 1e-6).unwrap();
        }
        close(&whole[0], &whole[1], 0.0).unwrap();
    }
}
