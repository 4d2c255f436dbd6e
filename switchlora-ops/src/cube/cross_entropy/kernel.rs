//! The losses of a chunk of tokens on the device.

use crate::cube::launch::Launch;
use crate::cube::reduce::{most_of_cube, sum_of_cube};
use crate::cube::tensors::{contiguous, cube_a_row, empty, owned, rows_and_columns};
use crate::primitive::{primitive, tensor};
use burn::tensor::{DType, Int, Shape, Tensor, TensorMetadata};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// The loss of each token, `[tokens]`, and the logits. With `gradient`, the gradient of each loss, the logits are replaced by
/// their gradients.
pub(in crate::cube) fn losses_of_chunk<B: Launch>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    gradient: Option<f32>,
) -> (Tensor<B, 1>, Tensor<B, 2>) {
    let logits = primitive(logits);
    let shape = logits.shape();
    let outputs = [
        (Shape::from([shape[0]]), DType::F32),
        (shape, logits.dtype()),
    ];
    let inputs = [logits, B::integers(targets.into_primitive())];
    let [losses, logits] = B::launch(
        "cross_entropy",
        inputs,
        outputs,
        move |[logits, targets]| run(owned(logits), contiguous(targets), gradient),
    );
    (tensor(losses), tensor(logits))
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
        // SAFETY: cubes after the last token do nothing, and units and targets stay within their row.
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

/// One cube per token: one pass for the largest logit and the sum of exponentials, one pass for the gradients.
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
    // Each unit adds up exponentials relative to the largest of its own logits.
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
    // A target outside of the vocabulary has no logit: the last one of the row is read instead.
    let target = usize::cast_from(targets[token]);
    let there = min(target, vocabulary - 1);
    if unit == 0 {
        let logit = f32::cast_from(logits[start + there]);
        let mut loss = f32::ln(sum) + of_all - logit;
        if target >= vocabulary {
            // NaN: there is no such loss.
            let nothing = logit * 0.0f32;
            loss = nothing / (nothing * 2.0f32);
        }
        losses[token] = loss;
    }
    if comptime!(gradients) {
        // The logit of the target must be read before it is replaced.
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
