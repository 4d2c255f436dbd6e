//! How many logits the kernels for Flex store together.

/// Maximal number of logits in a chunk, 64 MiB.
const LOGITS: usize = 1 << 24;
/// Maximal number of tokens in a chunk.
///
/// Each chunk reads and writes the gradient of the whole weight. With a vocabulary of 32 000, an update of `60m` takes 1078 ms
/// with 128 tokens per chunk, 1015 ms with 256, 997 ms with 512, and not less with more.
const TOKENS: usize = 512;
/// Minimal number of tokens in a chunk, however large the vocabulary.
const FEWEST: usize = 128;

/// The number of tokens whose logits [`linear_cross_entropy`](crate::linear_cross_entropy) stores together on Flex, of
/// `tokens` in all. What a training needs at its peak follows from it.
pub fn logits_together(tokens: usize, vocabulary: usize) -> usize {
    (LOGITS / vocabulary.max(1))
        .clamp(FEWEST, TOKENS)
        .min(tokens.max(1))
}
