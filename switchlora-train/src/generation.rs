//! Text from a model, token by token.

use crate::data::{DataError, Tokenizer};
use crate::model::LlamaForCausalLm;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the scores; 0 takes the most probable token.
    pub temperature: f32,
    /// The smallest set of tokens whose probabilities reach this sum is drawn from; 1 for all.
    pub top_p: f32,
    /// Names the random numbers.
    pub seed: u64,
    /// Tokens at most.
    pub max_tokens: usize,
}

/// Continues `prompt`, giving each piece of text to `write` as soon as it is a whole character; stops at the end of text.
///
/// An empty prompt begins a new text. The model sees as many of the last tokens as it has positions.
///
/// # Errors
///
/// The prompt cannot be encoded, or a token not decoded.
pub fn generate<B: Backend>(
    model: &LlamaForCausalLm<B>,
    tokenizer: &Tokenizer,
    prompt: &str,
    sampling: Sampling,
    mut write: impl FnMut(&str),
) -> Result<usize, DataError> {
    let mut tokens = vec![tokenizer.end_of_text()];
    tokens.extend(tokenizer.encode(prompt)?);
    let mut random = ChaCha8Rng::seed_from_u64(sampling.seed);
    let mut text = tokenizer.stream();
    for count in 0..sampling.max_tokens {
        let token = choose(&scores(model, &tokens), sampling, &mut random);
        if token == tokenizer.end_of_text() {
            return text.finish().map(|rest| {
                rest.iter().for_each(|rest| write(rest));
                count
            });
        }
        tokens.push(token);
        if let Some(piece) = text.push(token)? {
            write(&piece);
        }
    }
    if let Some(rest) = text.finish()? {
        write(&rest);
    }
    Ok(sampling.max_tokens)
}

/// The scores of the token after `tokens`.
fn scores<B: Backend>(model: &LlamaForCausalLm<B>, tokens: &[u32]) -> Vec<f32> {
    let seen = &tokens[tokens.len().saturating_sub(model.positions.len())..];
    let device = model.model.norm.weight.device();
    let input: Vec<i32> = seen.iter().map(|&token| token as i32).collect();
    let input = TensorData::new(input, [1, seen.len()]);
    let hidden = model.hidden(Tensor::<B, 2, Int>::from_data(input, &device)); // [length, hidden]
    let width = hidden.dims()[1];
    let last = hidden.slice([seen.len() - 1..seen.len(), 0..width]);
    model.logits(last).into_data().iter::<f32>().collect()
}

fn choose(scores: &[f32], sampling: Sampling, random: &mut impl Rng) -> u32 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    if sampling.temperature <= 0.0 {
        return order[0] as u32;
    }
    let highest = scores[order[0]];
    let weight = |&token: &usize| f64::from((scores[token] - highest) / sampling.temperature).exp();
    let weights: Vec<f64> = order.iter().map(weight).collect();
    let enough = weights.iter().sum::<f64>() * f64::from(sampling.top_p);
    let mut sum = 0.0;
    let kept = weights.iter().position(|weight| {
        sum += weight;
        sum >= enough
    });
    let kept = kept.map_or(weights.len(), |last| last + 1);
    let mut draw = random.random::<f64>() * weights[..kept].iter().sum::<f64>();
    let drawn = weights[..kept].iter().position(|weight| {
        draw -= weight;
        draw < 0.0
    });
    order[drawn.unwrap_or(kept - 1)] as u32
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
