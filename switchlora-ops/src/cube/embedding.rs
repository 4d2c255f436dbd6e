//! Embedding. Its gradient adds up the gradients of each row of the table in a fixed order.
//!
//! Each token is linked to the next token that names the same row. The first of them follows the links and adds up all
//! gradients, so that no two cubes write to one row.

use super::launch::Launch;
use super::reduce::most_of_cube;
use super::tensors::{contiguous, cube_a_row, elementwise, empty, rows_and_columns};
use crate::kernels::{EmbeddingBackward, Kernels};
use crate::operations::Embedding;
use crate::primitive::{primitive, tensor};
use burn::tensor::{DType, Int, Shape, Tensor};
use cubecl::prelude::*;

impl<B: Launch> Embedding<B> for Kernels {
    fn embedding(&self, weight: Tensor<B, 2>, tokens: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        weight.select(0, tokens)
    }
}

impl<B: Launch> EmbeddingBackward<B> for Kernels {
    fn embedding_backward(
        &self,
        tokens: Tensor<B, 1, Int>,
        vocabulary: usize,
        dy: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let shape = [vocabulary, dy.dims()[1]];
        let outputs = [(Shape::from(shape), dy.dtype())];
        let inputs = [primitive(dy), B::integers(tokens.into_primitive())];
        let [table] = B::launch("embedding_backward", inputs, outputs, move |inputs| {
            let [dy, tokens] = inputs.map(contiguous);
            let table = empty(&dy, shape, DType::F32);
            let client = dy.client.clone();
            let [count, columns] = rows_and_columns(&dy);
            if vocabulary * columns > 0 {
                let (cubes, dim) = elementwise(&client, vocabulary * columns);
                // SAFETY: units after the last element do nothing.
                unsafe {
                    zero::launch_unchecked::<B::Runtime>(
                        &client,
                        cubes,
                        dim,
                        table.clone().into_array_arg(),
                        vocabulary * columns,
                    );
                }
            }
            if count * columns > 0 {
                let dtype = tokens.dtype.into();
                let links = empty(&dy, [2 * count], DType::U32);
                let (cubes, dim, units) = cube_a_row(&client, count, count);
                // SAFETY: cubes after the last token do nothing.
                unsafe {
                    link_tokens::launch_unchecked::<B::Runtime>(
                        &client,
                        cubes,
                        dim,
                        tokens.clone().into_array_arg(),
                        links.clone().into_array_arg(),
                        count,
                        units,
                        dtype,
                    );
                }
                let (cubes, dim, units) = cube_a_row(&client, count, columns);
                // SAFETY: cubes after the last token, and cubes whose token has no row, do nothing.
                unsafe {
                    sum_rows::launch_unchecked::<B::Runtime>(
                        &client,
                        cubes,
                        dim,
                        tokens.into_array_arg(),
                        links.into_array_arg(),
                        dy.into_array_arg(),
                        table.clone().into_array_arg(),
                        count,
                        columns,
                        vocabulary,
                        units,
                        dtype,
                    );
                }
            }
            [table]
        });
        tensor(table)
    }
}

#[cube(launch_unchecked)]
fn zero(table: &mut Array<f32>, work: usize) {
    if ABSOLUTE_POS < work {
        table[ABSOLUTE_POS] = 0.0f32;
    }
}

/// One cube per token. `links[token]` is the next token that names the same row, `count` if there is none.
/// `links[count + token]` is 1 if the token is the first that names its row.
#[cube(launch_unchecked)]
fn link_tokens<I: Numeric>(
    tokens: &Array<I>,
    links: &mut Array<u32>,
    count: usize,
    #[comptime] units: usize,
    #[define(I)] _dtype: StorageType,
) {
    let token = CUBE_POS;
    if token >= count {
        terminate!();
    }
    let mut room = SharedMemory::<f32>::new(units);
    let row = tokens[token];
    let mut earlier = 0.0f32;
    // The nearest token is the maximum of the negated positions, which are exact up to 2^24 tokens.
    let mut nearest = 0.0f32 - f32::cast_from(count);
    let mut other = UNIT_POS as usize;
    while other < count {
        if tokens[other] == row {
            if other < token {
                earlier = 1.0f32;
            } else if other > token {
                nearest = max(nearest, 0.0f32 - f32::cast_from(other));
            }
        }
        other += units;
    }
    let earlier = most_of_cube(earlier, &mut room, units);
    let nearest = most_of_cube(nearest, &mut room, units);
    if UNIT_POS == 0 {
        links[token] = u32::cast_from(0.0f32 - nearest);
        links[count + token] = u32::cast_from(1.0f32 - earlier);
    }
}

/// One cube per token. The first token that names a row adds up the gradients of all tokens that do, in order.
#[cube(launch_unchecked)]
fn sum_rows<I: Numeric>(
    tokens: &Array<I>,
    links: &Array<u32>,
    dy: &Array<f32>,
    table: &mut Array<f32>,
    count: usize,
    columns: usize,
    vocabulary: usize,
    #[comptime] units: usize,
    #[define(I)] _dtype: StorageType,
) {
    let token = CUBE_POS;
    if token >= count {
        terminate!();
    }
    let row = usize::cast_from(tokens[token]);
    if links[count + token] == 1u32 && row < vocabulary {
        let mut column = UNIT_POS as usize;
        while column < columns {
            let mut sum = 0.0f32;
            let mut other = token;
            while other < count {
                sum += dy[other * columns + column];
                other = links[other] as usize;
            }
            table[row * columns + column] = sum;
            column += units;
        }
    }
}
