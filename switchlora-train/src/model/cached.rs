//! Token-by-token generation with a key-value cache: keys and values of earlier tokens are stored, not computed again.
//!
//! `attention_t = softmax(q_t K^T / sqrt(head_dim)) V` needs only the rotated keys `K` and the values `V` of earlier tokens, so a
//! token costs one row of each product.

use super::attention::Attention;
use super::llama::LlamaForCausalLm;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};
use switchlora_core::forward_together;
use switchlora_ops::{Heads, embedding, rotate};

/// Positions by which a cache grows. Growing copies the cache, so most tokens should not grow it.
const GROWTH: usize = 256;

/// The rotated keys and the values of one sequence, in every layer.
#[derive(Clone, Debug)]
pub struct KeyValueCache<B: Backend> {
    /// Keys and values of each layer, `[1, keys, room, head_dim]`; `length` of `room` positions are filled.
    layers: Vec<Option<(Tensor<B, 4>, Tensor<B, 4>)>>,
    length: usize,
}

impl<B: Backend> KeyValueCache<B> {
    /// An empty cache.
    pub fn new(model: &LlamaForCausalLm<B>) -> Self {
        Self {
            layers: model.model.layers.iter().map(|_| None).collect(),
            length: 0,
        }
    }

    /// Number of tokens in the cache.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends keys and values `[1, keys, tokens, head_dim]` of a layer, and returns all of the layer's.
    fn extend(
        &mut self,
        layer: usize,
        keys: Tensor<B, 4>,
        values: Tensor<B, 4>,
    ) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let [_, heads, tokens, width] = keys.dims();
        let (from, to) = (self.length, self.length + tokens);
        let place = [0..1, 0..heads, from..to, 0..width];
        let grown = |old: Option<Tensor<B, 4>>| {
            let room = to.next_multiple_of(GROWTH);
            let zeros = |room| Tensor::zeros([1, heads, room, width], &keys.device());
            match old {
                Some(old) if old.dims()[2] >= to => old,
                Some(old) => {
                    let more = zeros(room - old.dims()[2]);
                    Tensor::cat(vec![old, more], 2)
                }
                None => zeros(room),
            }
        };
        let (old_keys, old_values) = self.layers[layer].take().unzip();
        let all_keys = grown(old_keys).slice_assign(place.clone(), keys.clone());
        let all_values = grown(old_values).slice_assign(place, values);
        let filled = |all: &Tensor<B, 4>| all.clone().slice([0..1, 0..heads, 0..to, 0..width]);
        let both = (filled(&all_keys), filled(&all_values));
        self.layers[layer] = Some((all_keys, all_values));
        both
    }
}

impl<B: Backend> LlamaForCausalLm<B> {
    /// Returns scores of the token after `tokens: [tokens]`, `[1, vocabulary]`. The tokens follow those in `cache`, and are added
    /// to it.
    ///
    /// Equal to the last row of [`logits`](Self::logits) of the whole sequence.
    ///
    /// # Panics
    ///
    /// If `tokens` is empty, or cache and tokens together exceed the model's [positions](super::Positions::len).
    pub fn next_token(
        &self,
        tokens: Tensor<B, 1, Int>,
        cache: &mut KeyValueCache<B>,
    ) -> Tensor<B, 2> {
        let [count] = tokens.dims();
        let (from, to) = (cache.length, cache.length + count);
        assert!(
            count > 0 && to <= self.positions.len(),
            "tokens {from} to {to} of a model with {} positions",
            self.positions.len(),
        );
        let angles = self.positions.angles(from..to);
        let mut x = embedding(self.model.embed_tokens.weight.val(), tokens); // [tokens, hidden]
        for (number, layer) in self.model.layers.iter().enumerate() {
            let normed = layer.input_layernorm.forward(x.clone());
            x = x + attend(&layer.self_attn, normed, &angles, number, cache);
            let normed = layer.post_attention_layernorm.forward(x.clone());
            x = x + layer.mlp.forward(normed);
        }
        cache.length = to;
        let last = x.slice_dim(0, count - 1..count); // [1, hidden]
        self.logits(self.model.norm.forward(last))
    }
}

/// Attends from `x: [tokens, hidden]` to the cached tokens and, causally, to `x` itself.
fn attend<B: Backend>(
    attention: &Attention<B>,
    x: Tensor<B, 2>,
    (cos, sin): &(Tensor<B, 2>, Tensor<B, 2>),
    layer: usize,
    cache: &mut KeyValueCache<B>,
) -> Tensor<B, 2> {
    let Heads {
        queries,
        keys,
        head_dim,
    } = attention.heads();
    let [tokens, _] = x.dims();
    let split = |x: Tensor<B, 2>, heads| {
        x.reshape([1, tokens, heads, head_dim]).swap_dims(1, 2) // [1, heads, tokens, head_dim]
    };
    let layers = [&attention.q_proj, &attention.k_proj, &attention.v_proj];
    let [q, k, v] = forward_together(layers, x);
    let q = rotate(split(q, queries), cos, sin);
    let k = rotate(split(k, keys), cos, sin);
    let v = split(v, keys);
    let before = cache.length;
    let (k, v) = cache.extend(layer, k, v); // [1, keys, length, head_dim]
    let length = before + tokens;
    // Query heads that share a key head are stacked along the query dimension, so that keys are not repeated.
    let stacked = queries / keys * tokens;
    let q = q.reshape([1, keys, stacked, head_dim]);
    let scores = q.matmul(k.transpose()) * (1.0 / (head_dim as f64).sqrt()); // [1, keys, stacked, length]
    let scores = match tokens {
        1 => scores,
        _ => {
            let device = scores.device();
            let later = Tensor::<B, 2, Bool>::tril_mask([tokens, length], before as i64, &device);
            let later = later.reshape([1, 1, tokens, length]);
            let each = scores.reshape([1, queries, tokens, length]);
            let later = later.expand([1, queries, tokens, length]);
            let each = each.mask_fill(later, f32::NEG_INFINITY);
            each.reshape([1, keys, stacked, length])
        }
    };
    let mixed = softmax(scores, 3).matmul(v); // [1, keys, stacked, head_dim]
    let mixed = mixed.reshape([1, queries, tokens, head_dim]);
    let mixed = mixed.swap_dims(1, 2).reshape([tokens, queries * head_dim]);
    attention.o_proj.forward(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LlamaConfig;
    use burn::tensor::TensorData;
    use proptest::prelude::*;
    use switchlora_core::{SwitchLoraConfig, SwitchSchedule};

    fn check<B: Backend>(
        keys: usize,
        rank: Option<usize>,
        tied: bool,
        tokens: &[i32],
        splits: &[usize],
    ) -> Result<(), TestCaseError> {
        let config = LlamaConfig {
            vocab_size: 19,
            hidden_size: 24,
            intermediate_size: 20,
            num_hidden_layers: 2,
            num_attention_heads: 6,
            num_key_value_heads: keys,
            max_position_embeddings: 600,
            rms_norm_eps: 1e-6,
            rope_theta: 10000.0,
            initializer_range: 0.3,
            tie_word_embeddings: tied,
            classifier: None,
        };
        let method = SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap();
        let device = Default::default();
        let model = LlamaForCausalLm::<B>::new(&config, &method, 5, &device);
        let ids = |tokens: &[i32]| TensorData::new(tokens.to_vec(), [tokens.len()]);
        let whole = Tensor::<B, 1, Int>::from_data(ids(tokens), &device).unsqueeze();
        let whole = model.logits(model.hidden(whole)).into_data();
        let whole: Vec<f32> = whole.iter::<f32>().collect();

        let mut cache = KeyValueCache::new(&model);
        let mut rest = tokens;
        for split in splits.iter().copied().chain([tokens.len()]) {
            let (now, later) = rest.split_at(split.clamp(1, rest.len()));
            let found = model.next_token(Tensor::from_data(ids(now), &device), &mut cache);
            let found: Vec<f32> = found.into_data().iter::<f32>().collect();
            let end = cache.len() * 19;
            for (found, expected) in found.iter().zip(&whole[end - 19..end]) {
                // f32 sums over at most 24 products of numbers around one, in another order, two layers deep.
                prop_assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(cache.len(), tokens.len());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn cached_scores_are_those_of_the_whole_sequence(
            keys in prop::sample::select(vec![1_usize, 2, 3, 6]), rank in prop::option::of(1_usize..5), tied: bool,
            tokens in prop::collection::vec(0_i32..19, 1..30), splits in prop::collection::vec(1_usize..6, 0..30),
        ) {
            check::<burn_ndarray::NdArray>(keys, rank, tied, &tokens, &splits)?;
            #[cfg(feature = "flex")]
            check::<burn_flex::Flex>(keys, rank, tied, &tokens, &splits)?;
        }
    }

    #[test]
    fn a_cache_that_has_to_grow_loses_nothing() {
        let tokens: Vec<i32> = (0..2 * GROWTH as i32 + 9).map(|i| i * i % 19).collect();
        let splits = [GROWTH - 1, 1, 1, 3, GROWTH - 5, 2, 1, 1];
        check::<burn_ndarray::NdArray>(2, None, false, &tokens, &splits).unwrap();
    }

    #[test]
    #[should_panic(expected = "of a model with 16 positions")]
    fn more_tokens_than_positions_are_refused() {
        let config = LlamaConfig {
            max_position_embeddings: 16,
            vocab_size: 19,
            ..LlamaConfig::preset("tiny").unwrap()
        };
        let method = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
        let device = Default::default();
        let model = LlamaForCausalLm::<burn_ndarray::NdArray>::blank(&config, &method, &device);
        let mut cache = KeyValueCache::new(&model);
        let tokens =
            |count: usize| Tensor::from_data(TensorData::zeros::<i32, _>([count]), &device);
        model.next_token(tokens(16), &mut cache);
        model.next_token(tokens(1), &mut cache);
    }
}
