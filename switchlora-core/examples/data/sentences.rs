//! Sentences about a cat and a dog: does the cat chase the dog?
//!
//! The words alone do not tell, since both animals are in each sentence; nor does the order of the animals alone, since
//! half of the sentences are passive.

use burn::data::dataloader::batcher::Batcher;
use burn::prelude::*;
use rand::Rng;

/// The words that matter come first.
pub const WORDS: [&str; 12] = [
    "cat", "dog", "chased", "by", "today", "quietly", "again", "outside", "very", "often", "there",
    "slowly",
];
/// Words in a sentence.
pub const LENGTH: usize = 10;

/// A sentence, and whether the cat chases the dog.
pub type Sentence = (String, bool);

/// `cat slowly there chased very dog ...`, or `dog today chased often by cat ...`.
pub fn sentence(random: &mut impl Rng) -> Sentence {
    let (cat_chases, passive) = (random.random(), random.random::<bool>());
    let mut story = match cat_chases != passive {
        true => vec!["dog", "chased", "cat"],
        false => vec!["cat", "chased", "dog"],
    };
    if passive {
        story.insert(1, "by");
    }
    // The story from its end, with other words between its own.
    let words =
        (0..LENGTH).map(
            |place| match random.random_range(0..LENGTH - place) < story.len() {
                true => story.pop().unwrap_or_default(),
                false => WORDS[random.random_range(4..WORDS.len())],
            },
        );
    (words.collect::<Vec<_>>().join(" "), cat_chases)
}

/// The indices of words, `[batch, LENGTH]`, and classes, `[batch]`.
pub type Batch<B> = (Tensor<B, 2, Int>, Tensor<B, 1, Int>);

/// Looks words up.
#[derive(Clone)]
pub struct Words;

impl<B: Backend> Batcher<B, Sentence, Batch<B>> for Words {
    fn batch(&self, sentences: Vec<Sentence>, device: &B::Device) -> Batch<B> {
        let words = sentences.iter().flat_map(|(text, _)| text.split(' '));
        let indices = words.filter_map(|word| WORDS.iter().position(|known| *known == word));
        let indices: Vec<_> = indices.map(|index| index as i32).collect();
        let classes: Vec<_> = sentences
            .iter()
            .map(|(_, class)| i32::from(*class))
            .collect();
        let indices = TensorData::new(indices, [sentences.len(), LENGTH]);
        (
            Tensor::from_data(indices, device),
            Tensor::from_data(classes.as_slice(), device),
        )
    }
}
