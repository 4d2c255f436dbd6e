//! Batches of random tokens: a text that costs nothing to read.

use burn::tensor::backend::Backend;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::marker::PhantomData;
use switchlora_train::data::TokenBatch;

/// Endless batches, the same for the same seed on every backend.
pub(crate) struct RandomTokens<B: Backend> {
    vocabulary: i32,
    batch_size: usize,
    sequence_length: usize,
    random: ChaCha8Rng,
    device: B::Device,
    backend: PhantomData<B>,
}

impl<B: Backend> RandomTokens<B> {
    /// Batches of `batch_size` sequences of `sequence_length` tokens below `vocabulary`.
    pub fn new(
        vocabulary: usize,
        [batch_size, sequence_length]: [usize; 2],
        seed: u64,
        device: &B::Device,
    ) -> Self {
        Self {
            vocabulary: vocabulary as i32,
            batch_size,
            sequence_length,
            random: ChaCha8Rng::seed_from_u64(seed),
            device: device.clone(),
            backend: PhantomData,
        }
    }

    fn ids(&mut self) -> Vec<i32> {
        let count = self.batch_size * self.sequence_length;
        let ids = (0..count).map(|_| self.random.random_range(0..self.vocabulary));
        ids.collect()
    }
}

impl<B: Backend> Iterator for RandomTokens<B> {
    type Item = TokenBatch<B>;

    fn next(&mut self) -> Option<TokenBatch<B>> {
        let (inputs, targets) = (self.ids(), self.ids());
        let length = self.sequence_length;
        Some(TokenBatch::new(inputs, targets, length, &self.device))
    }
}
