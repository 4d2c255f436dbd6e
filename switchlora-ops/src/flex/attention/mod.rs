//! Causal attention, one block of queries of one head at a time.
//!
//! Only the scores of one block are stored, and of those only the ones up to the last key that the block sees. The backward
//! computes them again. Each thread takes whole key heads.
//!
//! Scores are stored transposed, `[keys, LANES]`, with one query per lane. Heads are copied out of the tensors. Rows of right
//! operands are padded with zeros to whole tiles, and blocks with fewer queries than lanes are padded with rows of zeros.

mod heads;
mod inputs;
mod padded;
mod rotary;
mod softmax;
mod tile;

use super::matrix::Matrix;
use super::output::Output;
use super::slices::{contiguous, fresh, slice};
use crate::kernels::{CausalAttentionBackward, Kernels};
use crate::operations::CausalAttention;
use crate::{Attention, Precision};
use burn::tensor::Tensor;
use burn_flex::Flex;
use heads::{Block, Columns};
use inputs::{Inputs, Room};
use rayon::prelude::*;
use rotary::rotate_back;
use softmax::LANES;

impl CausalAttention<Flex> for Kernels {
    fn causal_attention(
        &self,
        attention: Attention<Flex>,
        precision: Precision,
    ) -> Tensor<Flex, 2> {
        let inputs = Inputs::new(attention, precision);
        let (shape, width) = (inputs.shape, inputs.shape.query_width());
        let length = shape.tokens * width;
        let mut output = Output::new(length);
        let columns = Columns::new(output.elements(length), width);
        shape.key_heads().for_each_init(
            || Room::new(&shape),
            |room, head| {
                inputs.load_key_head(head, room);
                for (query_head, block) in shape.blocks(head) {
                    inputs.weights(head, query_head, block, room);
                    let weights = Matrix::new(&room.scores, block.seen(), LANES).t();
                    room.out
                        .set_product(weights, &room.values, inputs.precision);
                    // SAFETY: no other thread has this key head or its query heads.
                    unsafe { inputs.write(&room.out, head, block, query_head, &columns) };
                }
            },
        );
        // SAFETY: every block of every query head of every key head has been written.
        let output = unsafe { output.written(length) };
        fresh(output, [shape.tokens, width])
    }
}

impl CausalAttentionBackward<Flex> for Kernels {
    fn causal_attention_backward(
        &self,
        attention: Attention<Flex>,
        precision: Precision,
        dy: Tensor<Flex, 2>,
    ) -> [Tensor<Flex, 2>; 3] {
        let dy = contiguous(dy);
        let inputs = Inputs::new(attention, precision);
        let shape = inputs.shape;
        let (queries, keys) = (shape.query_width(), shape.key_width());
        let [mut q, mut k, mut v] =
            [queries, keys, keys].map(|width| Output::new(shape.tokens * width));
        let dq = Columns::new(q.elements(shape.tokens * queries), queries);
        let dk = Columns::new(k.elements(shape.tokens * keys), keys);
        let dv = Columns::new(v.elements(shape.tokens * keys), keys);
        let whole = Block {
            start: 0,
            count: shape.length,
        };
        shape.key_heads().for_each_init(
            || Room::new(&shape),
            |room, head| {
                inputs.load_key_head(head, room);
                room.dkeys.elements.fill(0.0);
                room.dvalues.elements.fill(0.0);
                for (query_head, block) in shape.blocks(head) {
                    inputs.backward_block(head, query_head, block, slice(&dy), room);
                    // SAFETY: no other thread has this key head or its query heads.
                    unsafe { inputs.write(&room.out, head, block, query_head, &dq) };
                }
                let (keys, width) = (&mut room.dkeys.elements, room.dkeys.width);
                rotate_back(keys, width, inputs.angles(0), 1.0);
                // SAFETY: no other thread has this key head.
                unsafe {
                    inputs.write(&room.dkeys, head, whole, head.head, &dk);
                    inputs.write(&room.dvalues, head, whole, head.head, &dv);
                }
            },
        );
        let outputs = [(q, queries), (k, keys), (v, keys)];
        outputs.map(|(output, width)| {
            // SAFETY: every row of every head has been written.
            let output = unsafe { output.written(shape.tokens * width) };
            fresh(output, [shape.tokens, width])
        })
    }
}
