//! The head and its loss, some tokens at a time: the logits of a large vocabulary are never there for all tokens together,
//! and become their gradients in place.

use super::launch::Launch;
use super::reduce::{most_of_cube, sum_of_cube};
use super::sums::sum;
use super::tensors::{contiguous, cube_a_row, empty, owned, rows_and_columns};
use crate::Precision;
use crate::kernels::CrossEntropy;
use crate::primitive::{primitive, tensor};
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Int, Shape, Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Logits that are there at a time at most: 128 MiB in f32, what a buffer may take on every device.
const LOGITS: usize = 1 << 25;

/// The loss alone.
pub(super) fn loss<B: Launch>(
    hidden: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    targets: &IntTensor<B>,
    precision: Precision,
) -> FloatTensor<B> {
    loss_by_chunks::<B>(hidden, weight, targets, precision, LOGITS)
}

/// [`loss`] with so many logits at a time.
fn loss_by_chunks<B: Launch>(
    hidden: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    targets: &IntTensor<B>,
    precision: Precision,
    logits: usize,
) -> FloatTensor<B> {
    let head = Head::<B>::new(hidden, weight, targets, precision);
    let losses = head.chunks(logits).map(|(hidden, targets)| {
        let logits = hidden.matmul(head.weight.clone());
        losses_of_chunk::<B>(logits, targets, None).0
    });
    mean::<B>(losses.collect())
}

/// The loss and its gradients.
pub(super) fn loss_and_gradients<B: Launch>(
    hidden: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    targets: &IntTensor<B>,
    precision: Precision,
) -> CrossEntropy<B> {
    by_chunks::<B>(hidden, weight, targets, precision, LOGITS)
}

/// [`loss_and_gradients`] with so many logits at a time.
fn by_chunks<B: Launch>(
    hidden: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    targets: &IntTensor<B>,
    precision: Precision,
    logits: usize,
) -> CrossEntropy<B> {
    let head = Head::<B>::new(hidden, weight, targets, precision);
    let each = 1.0 / head.tokens() as f32;
    let (mut losses, mut dhidden, mut dweight) = (vec![], vec![], None::<Tensor<B, 2>>);
    for (hidden, targets) in head.chunks(logits) {
        let logits = hidden.clone().matmul(head.weight.clone()); // [tokens, vocabulary]
        let (loss, dlogits) = losses_of_chunk::<B>(logits, targets, Some(each));
        let of_hidden = dlogits.clone().matmul(head.weight.clone().transpose());
        let of_weight = precision.widen(hidden.transpose().matmul(dlogits));
        losses.push(loss);
        dhidden.push(precision.widen(of_hidden));
        dweight = Some(match dweight {
            Some(sum) => sum + of_weight,
            None => of_weight,
        });
    }
    let dweight = dweight.unwrap_or_else(|| head.weight.zeros_like());
    CrossEntropy {
        loss: mean::<B>(losses),
        hidden: primitive(together(dhidden)),
        weight: primitive(dweight),
    }
}

/// Hidden states, the head and targets, as products take them.
struct Head<B: Launch> {
    hidden: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
}

impl<B: Launch> Head<B> {
    fn new(
        hidden: &FloatTensor<B>,
        weight: &FloatTensor<B>,
        targets: &IntTensor<B>,
        precision: Precision,
    ) -> Self {
        Self {
            hidden: precision.round(tensor(hidden.clone())),
            weight: precision.round(tensor(weight.clone())),
            targets: Tensor::from_primitive(targets.clone()),
        }
    }

    fn tokens(&self) -> usize {
        self.hidden.dims()[0]
    }

    /// Hidden states and targets of as many tokens as have at most `logits`; one chunk without tokens if there are none.
    fn chunks(
        &self,
        logits: usize,
    ) -> impl Iterator<Item = (Tensor<B, 2>, Tensor<B, 1, Int>)> + '_ {
        let (tokens, vocabulary) = (self.tokens(), self.weight.dims()[1]);
        let each = (logits / vocabulary.max(1)).max(1);
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

/// The losses of tokens, `[tokens]`, and their logits; with `gradient`, those have become their gradients for such a gradient
/// of each loss.
fn losses_of_chunk<B: Launch>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    gradient: Option<f32>,
) -> (FloatTensor<B>, Tensor<B, 2>) {
    let logits = primitive(logits);
    let shape = logits.shape();
    let outputs = [
        (Shape::from([shape[0]]), DType::F32),
        (shape, logits.dtype()),
    ];
    let inputs = [logits, B::integers(&targets.into_primitive())];
    let [losses, logits] = B::launch(
        "cross_entropy",
        inputs,
        outputs,
        move |[logits, targets]| run(owned(logits), contiguous(targets), gradient),
    );
    (losses, tensor(logits))
}

fn run<R: CubeRuntime>(
    logits: CubeTensor<R>,
    targets: CubeTensor<R>,
    gradient: Option<f32>,
) -> [CubeTensor<R>; 2] {
    let [tokens, vocabulary] = rows_and_columns(&logits);
    let losses = empty(&logits, [tokens], DType::F32);
    if tokens * vocabulary > 0 {
        let client = logits.client.clone();
        let (count, dim, units) = cube_a_row(&client, tokens, vocabulary);
        let dtypes = [logits.dtype.into(), targets.dtype.into()];
        // SAFETY: a cube past the last token does nothing, a unit stays within its row, and so does a target.
        unsafe {
            loss_rows::launch_unchecked::<R>(
                &client,
                count,
                dim,
                logits.clone().into_array_arg(),
                targets.into_array_arg(),
                losses.clone().into_array_arg(),
                tokens,
                vocabulary,
                gradient.unwrap_or(0.0),
                gradient.is_some(),
                units,
                dtypes,
            );
        }
    }
    [losses, logits]
}

/// A cube for each token: the largest logit and the sum of powers in one pass, and the gradients in another.
#[cube(launch_unchecked)]
fn loss_rows<E: Float, I: Numeric>(
    logits: &mut Array<E>,
    targets: &Array<I>,
    losses: &mut Array<f32>,
    tokens: usize,
    vocabulary: usize,
    gradient: f32,
    #[comptime] gradients: bool,
    #[comptime] units: usize,
    #[define(E, I)] _dtypes: [StorageType; 2],
) {
    let token = CUBE_POS;
    if token >= tokens {
        terminate!();
    }
    let mut room = SharedMemory::<f32>::new(units);
    let start = token * vocabulary;
    let unit = UNIT_POS as usize;
    // Each unit has the powers of its own logits relative to the largest of them.
    let mut most = f32::min_value();
    let mut sum = 0.0f32;
    let mut column = unit;
    while column < vocabulary {
        let logit = f32::cast_from(logits[start + column]);
        if logit > most {
            sum = sum * f32::exp(most - logit) + 1.0f32;
            most = logit;
        } else {
            sum += f32::exp(logit - most);
        }
        column += units;
    }
    let of_all = most_of_cube(most, &mut room, units);
    let sum = sum_of_cube(sum * f32::exp(most - of_all), &mut room, units);
    // A target outside the vocabulary is nowhere: what is read in its place belongs to the row.
    let target = usize::cast_from(targets[token]);
    let there = min(target, vocabulary - 1);
    if unit == 0 {
        let logit = f32::cast_from(logits[start + there]);
        let mut loss = f32::ln(sum) + of_all - logit;
        if target >= vocabulary {
            // Not a number: there is no such loss.
            let nothing = logit * 0.0f32;
            loss = nothing / (nothing * 2.0f32);
        }
        losses[token] = loss;
    }
    if comptime!(gradients) {
        // The logit of the target was read before.
        sync_cube();
        let share = gradient / sum;
        let mut column = unit;
        while column < vocabulary {
            let logit = f32::cast_from(logits[start + column]);
            let mut slope = f32::exp(logit - of_all) * share;
            if column == target {
                slope -= gradient;
            }
            logits[start + column] = E::cast_from(slope);
            column += units;
        }
    }
}

/// Parts of a tensor, one after the other.
fn together<B: Launch>(mut parts: Vec<Tensor<B, 2>>) -> Tensor<B, 2> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

/// The mean of the losses of all chunks, `[1]`.
fn mean<B: Launch>(losses: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let losses: Vec<Tensor<B, 1>> = losses.into_iter().map(tensor).collect();
    let losses = match &losses[..] {
        [one] => one.clone(),
        _ => Tensor::cat(losses, 0),
    };
    let losses = primitive(losses);
    let each = 1.0 / losses.shape()[0] as f32;
    let outputs = [(Shape::from([1]), DType::F32)];
    let [mean] = B::launch("mean_loss", [losses], outputs, move |[losses]| {
        [sum(contiguous(losses), false, each)]
    });
    mean
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::*;
    use crate::gradients::{close, numbers, put, targets};
    use burn_wgpu::Wgpu;

    /// Loss and gradients of 50 tokens, with so many logits at a time.
    fn computed(logits: usize, tied: bool) -> [Vec<f64>; 4] {
        let (tokens, width, vocabulary) = (50, 9, 70);
        let input = |stream, shape| put::<Wgpu>(numbers(8, stream, shape), shape, DType::F32);
        let head = match tied {
            true => input(1, [vocabulary, width]).transpose(),
            false => input(1, [width, vocabulary]),
        };
        let (hidden, head) = (primitive(input(0, [tokens, width])), primitive(head));
        let targets = targets::<Wgpu>(tokens, vocabulary, &Default::default()).into_primitive();
        let precision = Precision::F32;
        let alone = loss_by_chunks::<Wgpu>(&hidden, &head, &targets, precision, logits);
        let all = by_chunks::<Wgpu>(&hidden, &head, &targets, precision, logits);
        let one = |loss| tensor::<Wgpu, 1>(loss).reshape([1, 1]);
        let gradients = [all.hidden, all.weight].map(tensor::<Wgpu, 2>);
        let [dhidden, dweight] = gradients;
        [one(alone), one(all.loss), dhidden, dweight]
            .map(|tensor| tensor.into_data().iter::<f64>().collect())
    }

    #[test]
    fn a_target_outside_the_vocabulary_has_no_loss() {
        for target in [70, -1] {
            let logits = put::<Wgpu>(numbers(8, 0, [2, 70]), [2, 70], DType::F32);
            let targets = Tensor::from_ints([3, target], &Default::default());
            let (losses, _) = losses_of_chunk::<Wgpu>(logits, targets, Some(0.5));
            let losses: Vec<f32> = tensor::<Wgpu, 1>(losses).into_data().iter().collect();
            assert!(losses[0] > 0.0 && losses[1].is_nan(), "{losses:?}");
        }
    }

    #[test]
    fn chunks_together_are_all_tokens() {
        for tied in [false, true] {
            let whole = computed(LOGITS, tied);
            // 16 tokens at a time, and the last two.
            let chunks = computed(16 * 70 + 5, tied);
            for (found, expected) in chunks.iter().zip(&whole) {
                // Another order of a few dozen terms.
                close(found, expected, 1e-6).unwrap();
            }
            close(&whole[0], &whole[1], 0.0).unwrap();
        }
    }
}
