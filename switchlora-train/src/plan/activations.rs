//! What a micro-batch needs beside the state of a training, in closed form.
//!
//! For each token, a decoder layer keeps for its backward pass: the input of each norm and of what follows it (`4 hidden`), the
//! queries and what attention makes of them, keys and values, and of the MLP gate, up and their product (`3 intermediate`).
//! Adapters keep nothing more: their products of rank `r` are computed again. A model that recomputes its layers keeps the
//! input of each, and all of one layer at a time.

use crate::experiment::{Experiment, Precision};
use crate::model::{LlamaConfig, Recompute};
use serde::Serialize;
use switchlora_core::cost::Cost;
use switchlora_ops::logits_together;

/// Bytes of one number.
const NUMBER: u64 = 4;

/// Bytes of a process on a CPU beside the tensors, measured (docs/memory.md): the program, the tokens of the embedded text, and
/// freed pages that wait for a buffer of their size.
const PROCESS: u64 = 64 << 20;

/// A micro-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// Sequences.
    pub size: usize,
    /// Tokens in a sequence.
    pub sequence_length: usize,
    /// What the backward pass computes again.
    pub recompute: Recompute,
    /// Dtype of the operands of matrix products.
    pub precision: Precision,
}

impl Batch {
    /// The micro-batch of an experiment.
    pub fn of(experiment: &Experiment) -> Self {
        Self {
            size: experiment.batch_size,
            sequence_length: experiment.sequence_length,
            recompute: experiment.recompute,
            precision: experiment.precision,
        }
    }

    /// Bytes of the activations that are kept between the forward and the backward pass.
    pub fn activation_bytes(&self, model: &LlamaConfig) -> u64 {
        let layers = model.num_hidden_layers as u64;
        let each = match self.recompute {
            Recompute::Nothing => of_layer(model),
            Recompute::Layers => model.hidden_size as u64,
        };
        // The embeddings, and the input and the output of the last norm.
        let ends = 2 * model.hidden_size as u64;
        NUMBER * self.tokens() * (layers * each + ends)
    }

    /// Bytes at the moment when most are alive, of a training whose state costs `cost`: when the output head has its
    /// gradient and all activations are kept, or when those of the last layer come to the other gradients.
    pub fn peak_bytes(&self, model: &LlamaConfig, cost: &Cost) -> u64 {
        let [head, gradients] = self.phases(model, cost);
        (head + self.copied_bytes(model) / 2).max(gradients)
    }

    /// Bytes of the process at that moment, on a backend that computes in the host's memory, without matrix units. The copies
    /// of the head count at both moments: their pages are not back when the other gradients come.
    pub fn process_bytes(&self, model: &LlamaConfig, cost: &Cost) -> u64 {
        let [head, gradients] = self.phases(model, cost);
        head.max(gradients) + self.copied_bytes(model) + PROCESS
    }

    /// Bytes at the two moments of [`peak_bytes`](Self::peak_bytes), without copies of operands.
    fn phases(&self, model: &LlamaConfig, cost: &Cost) -> [u64; 2] {
        let between = cost.state_bytes() - cost.gradient_bytes;
        let (hidden, vocabulary) = (model.hidden_size as u64, model.vocab_size as u64);
        let head = hidden * vocabulary + self.logits(model) + self.tokens() * hidden;
        let gradients = match self.recompute {
            Recompute::Nothing => cost.gradient_bytes,
            // Of plain weights those of one layer at a time, beside what is left of all.
            Recompute::Layers => {
                let linears = model.num_parameters() - model.shape().other_parameters;
                let one = NUMBER * linears / model.num_hidden_layers as u64;
                cost.gradient_bytes.min(cost.all_reduce_bytes + one)
            }
        };
        // The activations of the first layer and as many gradients of them.
        let last = NUMBER * self.tokens() * 2 * of_layer(model);
        [
            between + self.activation_bytes(model) + NUMBER * head,
            between + gradients + last,
        ]
    }

    /// Bytes of the operands of one product of the head that are rounded into copies on a CPU without matrix units; with them,
    /// and on a GPU, the copies have half as many.
    fn copied_bytes(&self, model: &LlamaConfig) -> u64 {
        match self.precision {
            Precision::F32 => 0,
            Precision::Bf16 => {
                let weight = model.hidden_size as u64 * model.vocab_size as u64;
                NUMBER * (weight + self.logits(model))
            }
        }
    }

    /// Logits that are stored together.
    fn logits(&self, model: &LlamaConfig) -> u64 {
        let together = logits_together(self.size * self.sequence_length, model.vocab_size);
        together as u64 * model.vocab_size as u64
    }

    fn tokens(&self) -> u64 {
        self.size as u64 * self.sequence_length as u64
    }
}

/// Numbers that a decoder layer keeps for each token.
fn of_layer(model: &LlamaConfig) -> u64 {
    let hidden = model.hidden_size as u64;
    let queries = (model.num_attention_heads * model.head_dim()) as u64;
    let keys = (model.num_key_value_heads * model.head_dim()) as u64;
    4 * hidden + 2 * queries + 2 * keys + 3 * model.intermediate_size as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Method;

    fn batch(recompute: Recompute) -> Batch {
        Batch {
            size: 4,
            sequence_length: 256,
            recompute,
            precision: Precision::F32,
        }
    }

    #[test]
    fn the_60m_model_keeps_what_a_heap_profiler_found() {
        let model = LlamaConfig::preset("60m").unwrap();
        let kept = batch(Recompute::Nothing).activation_bytes(&model) as f64;
        // 141 MB of outputs of projections and 134 of others, docs/memory.md.
        assert!((kept / 275e6 - 1.0).abs() < 0.01, "{kept}");
        let recomputed = batch(Recompute::Layers).activation_bytes(&model);
        assert_eq!(recomputed, 4 * 1024 * 10 * 512);
    }

    #[test]
    fn the_peak_is_that_of_the_head_or_of_all_gradients() {
        let model = LlamaConfig::preset("60m").unwrap();
        let cost = Method::Full.cost(&model.shape(), 0);
        let [kept, recomputed] = [Recompute::Nothing, Recompute::Layers].map(batch);
        let between = cost.state_bytes() - cost.gradient_bytes;
        let head = 4 * (2 * 512 * model.vocab_size as u64 + 1024 * 512);
        assert_eq!(
            kept.peak_bytes(&model, &cost),
            between + kept.activation_bytes(&model) + head
        );
        let layer = 8 * 512 + 3 * 1376;
        assert_eq!(
            recomputed.peak_bytes(&model, &cost),
            cost.state_bytes() + 4 * 1024 * 2 * layer
        );
    }
}
