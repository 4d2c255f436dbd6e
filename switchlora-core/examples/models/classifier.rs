//! Burn's `TransformerEncoder` as a classifier that burn-train's `Learner` trains. Nothing here knows of SwitchLoRA.

use super::sentences::{Batch, LENGTH, WORDS};
use burn::nn::{loss::CrossEntropyLossConfig, transformer::*, *};
use burn::prelude::*;
use burn::tensor::backend::AutodiffBackend;
use burn::train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};

/// Embedding, encoder, mean over the sentence, output layer.
#[derive(Module, Debug)]
pub struct Classifier<B: Backend> {
    words: Embedding<B>,
    positions: PositionalEncoding<B>,
    encoder: TransformerEncoder<B>,
    output: Linear<B>,
}

impl<B: Backend> Classifier<B> {
    /// A new classifier with an encoder of two layers.
    pub fn new(device: &B::Device) -> Self {
        let positions = PositionalEncodingConfig::new(64).with_max_sequence_size(LENGTH);
        let encoder = TransformerEncoderConfig::new(64, 128, 4, 2).with_norm_first(true);
        Self {
            words: EmbeddingConfig::new(WORDS.len(), 64).init(device),
            positions: positions.init(device),
            encoder: encoder.with_dropout(0.0).init(device),
            output: LinearConfig::new(64, 2).init(device),
        }
    }
}

impl<B: Backend> InferenceStep for Classifier<B> {
    type Input = Batch<B>;
    type Output = ClassificationOutput<B>;

    fn step(&self, (words, classes): Batch<B>) -> ClassificationOutput<B> {
        let x = self.positions.forward(self.words.forward(words)); // [batch, LENGTH, 64]
        let x = self.encoder.forward(TransformerEncoderInput::new(x));
        let output = self.output.forward(x.mean_dim(1).squeeze_dim(1)); // [batch, 2]
        let loss = CrossEntropyLossConfig::new().init(&output.device());
        let loss = loss.forward(output.clone(), classes.clone());
        ClassificationOutput::new(loss, output, classes)
    }
}

impl<B: AutodiffBackend> TrainStep for Classifier<B> {
    type Input = Batch<B>;
    type Output = ClassificationOutput<B>;

    fn step(&self, batch: Batch<B>) -> TrainOutput<ClassificationOutput<B>> {
        let output = InferenceStep::step(self, batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}
