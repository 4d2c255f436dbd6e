//! Sizes whose product is too large: for 63 bits, or for the memory of any machine.

use super::config::Experiment;
use super::error::ExperimentError;
use super::values::out_of_range;
use crate::model::LlamaConfig;

/// Tokens in a sequence: the limit of [`LlamaConfig`]'s positions.
const LENGTH: u64 = 1 << 24;
/// More bytes than a process can address: 128 TiB.
const ADDRESSABLE: u128 = 1 << 47;
/// Bytes of a number in f32.
const F32: u128 = 4;

impl Experiment {
    /// Checks that every count that a training of `model` computes fits 63 bits, and that its batches fit the memory that
    /// a process can address.
    ///
    /// # Errors
    ///
    /// The key of the largest size of a product that is too large.
    pub fn check_sizes(&self, model: &LlamaConfig) -> Result<(), ExperimentError> {
        let length = self.sequence_length as u64;
        if length > LENGTH {
            let expected = format!("1 to {LENGTH}");
            return Err(out_of_range("sequence_length", length, expected));
        }
        let most = model.hidden_size.max(model.intermediate_size);
        if let Some(rank) = self.rank.filter(|rank| !(1..=most).contains(rank)) {
            let expected = match rank {
                0 => "at least 1".to_owned(),
                _ => format!("1 to {most}, the width of the model's largest projection"),
            };
            return Err(out_of_range("rank", rank, expected));
        }
        let (batch, accumulation) = (self.batch_size as u64, self.accumulation as u64);
        let batch = ("batch_size", batch);
        let length = ("sequence_length", length);
        let all = [
            batch,
            ("accumulation", accumulation),
            length,
            ("steps", self.steps),
        ];
        fits(&all, i64::MAX as u128, "tokens of the whole training")?;
        fits(
            &[batch, length],
            self.most_tokens(model),
            "tokens of a micro-batch, limited by the memory that a process can address",
        )
    }

    /// Tokens of a micro-batch whose activations can be addressed at all.
    fn most_tokens(&self, model: &LlamaConfig) -> u128 {
        ADDRESSABLE / self.activations_per_token(model)
    }

    /// A lower bound of the bytes that the activations of one token take until the backward pass: the inputs of the layers
    /// and of the down projections.
    fn activations_per_token(&self, model: &LlamaConfig) -> u128 {
        let width = model.hidden_size as u128 + model.intermediate_size as u128;
        F32 * (width * model.num_hidden_layers as u128).max(1)
    }
}

/// Refuses a product above `most`, by the name of its largest factor.
fn fits(factors: &[(&str, u64)], most: u128, what: &str) -> Result<(), ExperimentError> {
    let product = factors.iter().try_fold(1_u128, |product, (_, factor)| {
        product.checked_mul(u128::from(*factor))
    });
    if product.is_some_and(|product| product <= most) {
        return Ok(());
    }
    let largest = factors.iter().max_by_key(|(_, factor)| *factor);
    let Some((key, value)) = largest else {
        return Ok(());
    };
    let names: Vec<&str> = factors.iter().map(|(name, _)| *name).collect();
    let names = names.join(" x ");
    let expected = format!("fewer: {names} ({what}) is above {most}");
    Err(out_of_range(*key, value, expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small numbers, large ones, and those beside a limit.
    fn size() -> impl Strategy<Value = u64> {
        prop_oneof![
            1..2000_u64,
            (0..64_u32).prop_map(|bits| 1 << bits),
            any::<u64>(),
            Just(u64::MAX),
            Just(i64::MAX as u64)
        ]
    }

    proptest! {
        #[test]
        fn every_size_is_accepted_with_counts_that_fit_or_refused_by_its_key(
            batch in size(), accumulation in size(), length in size(), steps in size(), rank in size(), keep in size(),
        ) {
            let experiment = Experiment {
                batch_size: batch as usize,
                accumulation: accumulation as usize,
                sequence_length: length as usize,
                rank: Some(rank as usize),
                keep: keep as usize,
                steps,
                ..Experiment::default()
            };
            match experiment.resolve() {
                Ok((experiment, model, method)) => {
                    let tokens = experiment.tokens_per_update().checked_mul(experiment.steps);
                    prop_assert!(tokens.is_some_and(|tokens| i64::try_from(tokens).is_ok()));
                    let tokens = experiment.batch_size as u128 * experiment.sequence_length as u128;
                    prop_assert!(tokens * F32 * (model.hidden_size as u128) < 1 << 47);
                    prop_assert!(method.layers.rank.unwrap_or(1) <= model.intermediate_size);
                }
                Err(error) => {
                    let said = error.to_string();
                    let keys = ["batch_size", "accumulation", "sequence_length", "steps", "rank", "keep"];
                    prop_assert!(keys.iter().any(|key| said.contains(key)), "{}", said);
                }
            }
        }
    }
}
