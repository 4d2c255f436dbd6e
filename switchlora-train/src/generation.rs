//! Generates text with a model, token by token.

use crate::data::{DataError, Tokenizer};
use crate::huggingface::TextEnds;
use crate::model::{KeyValueCache, LlamaForCausalLm};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::time::{Duration, Instant};
use switchlora_ops::in_pool;

/// Sampling of tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits; 0 takes the most probable token.
    pub temperature: f32,
    /// Samples from the smallest set of most probable tokens whose probabilities sum to at least this; 1 for all
    /// tokens.
    pub top_p: f32,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Most tokens to generate.
    pub max_tokens: usize,
}

/// Why text cannot be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerationError {
    /// The prompt cannot be encoded, or the tokens cannot be decoded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model's scores are not numbers.
    #[error(
        "after {0} tokens the model's scores are not finite numbers: its training diverged; use an earlier checkpoint"
    )]
    NotFinite(usize),
}

/// Token counts and times of a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Tokens of the prompt, including the begin-of-text token.
    pub prompt: usize,
    /// The last tokens of the prompt, which the model has read: no more than it has positions.
    pub read: usize,
    /// How often the positions were used up, and only the later half of them was kept.
    pub shortened: usize,
    /// Tokens generated, including the end-of-text token.
    pub tokens: usize,
    /// Time to process the prompt and choose the first token.
    pub prompt_time: Duration,
    /// Time for all tokens after the first.
    pub time: Duration,
}

impl Generated {
    /// Mean time per token after the first. `None` if there was at most one token.
    pub fn time_per_token(&self) -> Option<Duration> {
        let tokens = u32::try_from(self.tokens.saturating_sub(1)).ok()?;
        self.time.checked_div(tokens)
    }
}

/// Continues `prompt` until an end-of-text token or `sampling.max_tokens`. Passes text to `write` as soon as its
/// characters are complete.
///
/// `ends` decides which tokens are put around the prompt; an empty one begins a new text. Keys and values of earlier
/// tokens are cached. The model sees at most as many tokens as it has positions; when these are used up, the later half
/// of the tokens is processed again as the new context. [`Generated`] tells both.
///
/// # Errors
///
/// [`DataError::Encode`] or [`DataError::NoEmbedding`] for the prompt, [`DataError::Decode`] for the generated tokens, and
/// [`GenerationError::NotFinite`].
pub fn generate<B: Backend>(
    model: &LlamaForCausalLm<B>,
    tokenizer: &Tokenizer,
    ends: &TextEnds,
    prompt: &str,
    sampling: Sampling,
    mut write: impl FnMut(&str),
) -> Result<Generated, GenerationError> {
    let vocabulary = model.model.embed_tokens.weight.dims()[0];
    let mut tokens = ends.prompt(tokenizer, prompt, vocabulary)?;
    let mut done = Generated {
        prompt: tokens.len(),
        read: tokens.len().min(model.positions.len()),
        ..Generated::default()
    };
    let mut reader = Reader::new(model);
    let mut random = ChaCha8Rng::seed_from_u64(sampling.seed);
    let mut text = tokenizer.stream();
    for count in 0..sampling.max_tokens {
        let began = Instant::now();
        let scores = reader.scores(&tokens);
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(GenerationError::NotFinite(tokens.len()));
        }
        let token = choose(&scores, sampling, &mut random);
        done.tokens += 1;
        *match count {
            0 => &mut done.prompt_time,
            _ => &mut done.time,
        } += began.elapsed();
        if ends.end.contains(&token) {
            break;
        }
        tokens.push(token);
        if let Some(piece) = text.push(token)? {
            write(&piece);
        }
    }
    if let Some(rest) = text.finish()? {
        write(&rest);
    }
    done.shortened = reader.shortened;
    Ok(done)
}

/// Runs the model on a growing sequence, each token once.
struct Reader<'a, B: Backend> {
    model: &'a LlamaForCausalLm<B>,
    cache: KeyValueCache<B>,
    /// Number of tokens of the sequence processed so far.
    read: usize,
    /// How often only the later half of the positions was kept.
    shortened: usize,
}

impl<'a, B: Backend> Reader<'a, B> {
    fn new(model: &'a LlamaForCausalLm<B>) -> Self {
        Self {
            model,
            cache: KeyValueCache::new(model),
            read: 0,
            shortened: 0,
        }
    }

    /// Logits of the token after `tokens`, `[vocabulary]`. `tokens` must begin with the tokens of the previous call.
    fn scores(&mut self, tokens: &[u32]) -> Vec<f32> {
        let positions = self.model.positions.len();
        if self.cache.len() + tokens.len() - self.read > positions {
            let kept = match self.cache.is_empty() {
                true => positions,
                false => {
                    self.shortened += 1;
                    positions.div_ceil(2)
                }
            };
            self.cache = KeyValueCache::new(self.model);
            self.read = tokens.len().saturating_sub(kept);
        }
        let new: Vec<i32> = tokens[self.read..].iter().map(|&id| id as i32).collect();
        self.read = tokens.len();
        let device = self.model.model.norm.weight.device();
        let (model, cache) = (self.model, &mut self.cache);
        in_pool::<B, _>(move || {
            let new = Tensor::from_data(TensorData::new(new.clone(), [new.len()]), &device);
            let scores = model.next_token(new, cache).into_data();
            scores.iter::<f32>().collect()
        })
    }
}

/// Samples a token from its logits.
fn choose(scores: &[f32], sampling: Sampling, random: &mut impl Rng) -> u32 {
    let highest = highest(scores);
    if sampling.temperature <= 0.0 {
        return highest as u32;
    }
    let weight = |score: f32| f64::from((score - scores[highest]) / sampling.temperature).exp();
    let mut weights: Vec<(usize, f64)> = scores.iter().map(|&s| weight(s)).enumerate().collect();
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let top_p = f64::from(sampling.top_p);
    // Tokens below this weight together have less than 1 - top_p of the total. Without them the sort is short.
    let least = total * (1.0 - top_p) / scores.len() as f64;
    weights.retain(|(token, weight)| *weight >= least || *token == highest);
    weights.sort_unstable_by(|(a, left), (b, right)| right.total_cmp(left).then(a.cmp(b)));
    let mut sum = 0.0;
    let kept = weights.iter().position(|(_, weight)| {
        sum += weight;
        sum >= total * top_p
    });
    weights.truncate(kept.map_or(weights.len(), |last| last + 1));
    let kept: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut draw = random.random::<f64>() * kept;
    let drawn = weights.iter().find(|(_, weight)| {
        draw -= weight;
        draw < 0.0
    });
    let (token, _) = drawn.or(weights.last()).copied().unwrap_or((highest, 0.0));
    token as u32
}

/// The token with the highest logit; the first of several.
fn highest(scores: &[f32]) -> usize {
    let mut highest = 0;
    for (token, score) in scores.iter().enumerate() {
        if *score > scores[highest] {
            highest = token;
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LlamaConfig;
    use switchlora_core::{SwitchLoraConfig, SwitchSchedule};

    const SCORES: [f32; 4] = [1.0, 3.0, 2.0, -1.0];

    fn sampling(temperature: f32, top_p: f32) -> Sampling {
        Sampling {
            temperature,
            top_p,
            seed: 0,
            max_tokens: 0,
        }
    }

    fn counts(sampling: Sampling) -> [usize; 4] {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 4];
        (0..4000).for_each(|_| counts[choose(&SCORES, sampling, &mut random) as usize] += 1);
        counts
    }

    #[test]
    fn a_temperature_of_zero_and_a_tiny_top_p_take_the_most_probable_token() {
        assert_eq!(counts(sampling(0.0, 1.0)), [0, 4000, 0, 0]);
        assert_eq!(counts(sampling(1.0, 1e-6)), [0, 4000, 0, 0]);
    }

    #[test]
    fn tokens_are_drawn_by_their_probability_among_the_smallest_sufficient_set() {
        let all = counts(sampling(1.0, 1.0));
        let total: f32 = SCORES.iter().map(|s| s.exp()).sum();
        for (count, score) in all.iter().zip(SCORES) {
            // Four standard deviations of a count of 4,000 draws.
            assert!(
                (*count as f32 - 4000.0 * score.exp() / total).abs() < 127.0,
                "{all:?}"
            );
        }
        let two = counts(sampling(1.0, 0.8));
        assert!(two[1] > 0 && two[2] > 0 && two[0] + two[3] == 0, "{two:?}");
    }

    #[test]
    fn a_text_longer_than_the_positions_goes_on_from_the_later_half() {
        let config = LlamaConfig {
            vocab_size: 4096,
            max_position_embeddings: 12,
            initializer_range: 0.5,
            ..LlamaConfig::preset("tiny").unwrap()
        };
        let method = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
        let device = Default::default();
        let model = LlamaForCausalLm::<burn_ndarray::NdArray>::new(&config, &method, 1, &device);
        let alone = |tokens: &[u32]| Reader::new(&model).scores(tokens);
        let mut tokens: Vec<u32> = (0..30).map(|i| i * i % 4096).collect();
        let mut reader = Reader::new(&model);
        // The prompt is longer than the positions: its last tokens count.
        assert_eq!(reader.scores(&tokens), alone(&tokens[18..]));
        let close = |left: Vec<f32>, right: Vec<f32>| {
            // The cached computation sums in another order.
            left.iter()
                .zip(&right)
                .all(|(l, r)| (l - r).abs() < 1e-3 * (1.0 + r.abs()))
        };
        let mut from = 0;
        for step in 0..15_usize {
            tokens.push(step as u32 * 7);
            if step % 7 == 0 {
                from = tokens.len() - 6;
            }
            assert!(
                close(reader.scores(&tokens), alone(&tokens[from..])),
                "{step}"
            );
        }
    }
}
