//! Every random number of the method comes from a stream named by `(seed, purpose, layer, update)`.
//!
//! Nothing depends on the order in which streams are read or on the backend, so every replica of a run, every backend
//! and every resumed run draws the same numbers without exchanging a message.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The use of a stream of random numbers. The numbers name streams and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The initial weights of a model.
    Weights = 1,
    /// The candidate vectors of side A.
    CandidatesA = 2,
    /// The candidate vectors of side B.
    CandidatesB = 3,
    /// Whether the fractional part of the expected number of switches is rounded up.
    Draw = 4,
    /// The rows and candidates that the random selection takes.
    Selection = 5,
    /// The factors A that ReLoRA starts again with.
    Restart = 6,
    /// The entries of moments that ReLoRA keeps across a restart.
    Prune = 7,
    /// The factors of layers that are adapted after a warm start.
    WarmStart = 8,
    /// The mixtures of first moments that candidates are taken from.
    Mixtures = 9,
    /// The factors that an optimizer holds for plain weights.
    Factors = 10,
    /// The head of a model that classifies.
    Head = 11,
}

/// The stream of random numbers for one purpose, layer and update.
pub fn stream(seed: u64, purpose: Purpose, layer: u64, update: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    let words = [seed, purpose as u64, layer, update];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The stream for one purpose and layer at update 0 from its random number `number` on; each f32 that is drawn is one.
pub fn stream_from(seed: u64, purpose: Purpose, layer: u64, number: u128) -> ChaCha8Rng {
    let mut random = stream(seed, purpose, layer, 0);
    random.set_word_pos(number);
    random
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_from_a_later_number_is_the_rest_of_the_stream() {
        for skipped in [0, 1, 15, 16, 37, 5000] {
            let mut whole = stream(1, Purpose::Draw, 2, 0);
            for _ in 0..skipped {
                let _: f32 = whole.random();
            }
            let mut rest = stream_from(1, Purpose::Draw, 2, skipped as u128);
            for _ in 0..40 {
                assert_eq!(whole.random::<f32>(), rest.random::<f32>());
            }
        }
    }

    #[test]
    fn streams_repeat_and_differ_in_every_part_of_their_name() {
        let first =
            |seed, purpose, layer, update| stream(seed, purpose, layer, update).random::<u64>();
        let base = first(1, Purpose::Draw, 2, 3);
        assert_eq!(base, first(1, Purpose::Draw, 2, 3));
        assert_ne!(base, first(2, Purpose::Draw, 2, 3));
        assert_ne!(base, first(1, Purpose::Selection, 2, 3));
        assert_ne!(base, first(1, Purpose::Draw, 3, 3));
        assert_ne!(base, first(1, Purpose::Draw, 2, 4));
    }
}
