//! The causal softmax over rows of scores, in place: one cube per row, which reads only the scores that are not masked.
//!
//! A card holds more scores than 32 bits can count: the type of an index follows from their number.

use crate::cube::launch::Launch;
use crate::cube::reduce::{most_of_cube, sum_of_cube};
use crate::cube::tensors::{cube_a_row, owned};
use crate::primitive::{primitive, tensor};
use burn::tensor::{Tensor, TensorMetadata};
use cubecl::prelude::*;

/// The attention weights of scores, both `[batch, keys, queries / keys * length, length]`.
pub(in crate::cube) fn probabilities<B: Launch>(scores: Tensor<B, 4>) -> Tensor<B, 4> {
    let scores = primitive(scores);
    let outputs = [(scores.shape(), scores.dtype())];
    let [weights] = B::launch("causal_softmax", [scores], outputs, |[scores]| {
        let scores = owned(scores);
        let [batch, keys, stacked, length] = scores.shape().dims();
        let (client, rows) = (scores.client.clone(), batch * keys * stacked);
        if rows > 0 {
            let (count, dim, units) = cube_a_row(&client, rows, length);
            // SAFETY: cubes after the last row do nothing, and a unit stays within its row.
            unsafe {
                softmax_rows::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    AddressType::from_len(rows * length),
                    scores.clone().into_array_arg(),
                    rows,
                    length,
                    units,
                    scores.dtype.into(),
                );
            }
        }
        [scores]
    });
    tensor(weights)
}

/// The attention weights and the gradient of the scores, from the scores and the gradient of the weights.
pub(in crate::cube) fn probabilities_and_gradient<B: Launch>(
    scores: Tensor<B, 4>,
    dweights: Tensor<B, 4>,
) -> [Tensor<B, 4>; 2] {
    let inputs = [scores, dweights].map(primitive);
    let outputs = inputs
        .each_ref()
        .map(|input| (input.shape(), input.dtype()));
    let computed = B::launch("causal_softmax_backward", inputs, outputs, |inputs| {
        let [scores, dweights] = inputs.map(owned);
        let [batch, keys, stacked, length] = scores.shape().dims();
        let (client, rows) = (scores.client.clone(), batch * keys * stacked);
        if rows > 0 {
            let (count, dim, units) = cube_a_row(&client, rows, length);
            // SAFETY: cubes after the last row do nothing, and a unit stays within its row.
            unsafe {
                softmax_rows_backward::launch_unchecked::<B::Runtime>(
                    &client,
                    count,
                    dim,
                    AddressType::from_len(rows * length),
                    scores.clone().into_array_arg(),
                    dweights.clone().into_array_arg(),
                    rows,
                    length,
                    units,
                    scores.dtype.into(),
                );
            }
        }
        [scores, dweights]
    });
    computed.map(tensor)
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn softmax_rows<E: Float>(
    scores: &mut Array<E>,
    rows: usize,
    length: usize,
    #[comptime] units: usize,
    #[define(E)] _dtype: StorageType,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut room = SharedMemory::<f32>::new(units);
    let start = row * length;
    // The queries of a sequence are consecutive rows, head after head.
    let seen = row % length + 1;
    let unit = UNIT_POS as usize;
    let mut most = f32::min_value();
    let mut column = unit;
    while column < seen {
        most = max(most, f32::cast_from(scores[start + column]));
        column += units;
    }
    let most = most_of_cube(most, &mut room, units);
    let mut sum = 0.0f32;
    let mut column = unit;
    while column < seen {
        sum += f32::exp(f32::cast_from(scores[start + column]) - most);
        column += units;
    }
    let share = 1.0f32 / sum_of_cube(sum, &mut room, units);
    let mut column = unit;
    while column < length {
        let mut weight = 0.0f32;
        if column < seen {
            weight = f32::exp(f32::cast_from(scores[start + column]) - most) * share;
        }
        scores[start + column] = E::cast_from(weight);
        column += units;
    }
}

/// `dS = P (dP - sum(P dP))`. `P` replaces the scores, and `dS` replaces `dP`.
#[cube(launch_unchecked, address_type = "dynamic")]
fn softmax_rows_backward<E: Float>(
    scores: &mut Array<E>,
    dweights: &mut Array<E>,
    rows: usize,
    length: usize,
    #[comptime] units: usize,
    #[define(E)] _dtype: StorageType,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let mut room = SharedMemory::<f32>::new(units);
    let start = row * length;
    let seen = row % length + 1;
    let unit = UNIT_POS as usize;
    let mut most = f32::min_value();
    let mut column = unit;
    while column < seen {
        most = max(most, f32::cast_from(scores[start + column]));
        column += units;
    }
    let most = most_of_cube(most, &mut room, units);
    let mut sum = 0.0f32;
    let mut mixed = 0.0f32;
    let mut column = unit;
    while column < seen {
        let power = f32::exp(f32::cast_from(scores[start + column]) - most);
        sum += power;
        mixed += power * f32::cast_from(dweights[start + column]);
        column += units;
    }
    let share = 1.0f32 / sum_of_cube(sum, &mut room, units);
    let mixed = sum_of_cube(mixed, &mut room, units) * share;
    let mut column = unit;
    while column < length {
        let mut weight = 0.0f32;
        let mut slope = 0.0f32;
        if column < seen {
            weight = f32::exp(f32::cast_from(scores[start + column]) - most) * share;
            slope = weight * (f32::cast_from(dweights[start + column]) - mixed);
        }
        scores[start + column] = E::cast_from(weight);
        dweights[start + column] = E::cast_from(slope);
        column += units;
    }
}
