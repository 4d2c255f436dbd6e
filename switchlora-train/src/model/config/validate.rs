//! Checks whether a model of the given sizes can be built.

use super::architecture::LlamaConfig;
use super::error::{ConfigProblems, LlamaConfigError};

// Above the sizes of all known models, and low enough that no parameter or byte count overflows 64 bits.
const WIDTH: usize = 1 << 20;
const LAYERS: usize = 1 << 12;
const TOKENS: usize = 1 << 24;

impl LlamaConfig {
    /// Checks that the model can be built.
    ///
    /// # Errors
    ///
    /// Names every value that is wrong.
    pub fn validate(&self) -> Result<(), LlamaConfigError> {
        let problems = self.problems();
        if problems.0.is_empty() {
            Ok(())
        } else {
            Err(LlamaConfigError::Invalid { problems })
        }
    }

    pub(super) fn problems(&self) -> ConfigProblems {
        let mut problems = ConfigProblems::default();
        for (key, found, most) in [
            ("vocab_size", self.vocab_size, TOKENS),
            ("hidden_size", self.hidden_size, WIDTH),
            ("intermediate_size", self.intermediate_size, WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, LAYERS),
            ("num_attention_heads", self.num_attention_heads, WIDTH),
            ("num_key_value_heads", self.num_key_value_heads, WIDTH),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                TOKENS,
            ),
        ] {
            if !(1..=most).contains(&found) {
                problems.add(key, found, format_args!("1 to {most}"));
            }
        }
        for (key, found) in [
            ("rms_norm_eps", self.rms_norm_eps),
            ("rope_theta", self.rope_theta),
            ("initializer_range", self.initializer_range),
        ] {
            if !(found.is_finite() && found > 0.0) {
                problems.add(key, found, "a number above 0");
            }
        }
        let (hidden, heads, kv_heads) = (
            self.hidden_size,
            self.num_attention_heads,
            self.num_key_value_heads,
        );
        let pairs = heads.saturating_mul(2); // rotary embeddings turn a head's numbers in pairs
        if pairs != 0 && hidden % pairs != 0 {
            problems.add(
                "hidden_size",
                hidden,
                format_args!("a multiple of {pairs}, twice num_attention_heads"),
            );
        }
        if kv_heads != 0 && heads % kv_heads != 0 {
            problems.add(
                "num_attention_heads",
                heads,
                format_args!("a multiple of num_key_value_heads, {kv_heads}"),
            );
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(problems: &ConfigProblems) -> Vec<&'static str> {
        problems.0.iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn contradictory_and_absurd_values_are_refused() {
        let good = LlamaConfig::preset("tiny").expect("a preset");
        let refused = |config: LlamaConfig| keys(&config.problems());
        assert_eq!(
            refused(LlamaConfig {
                hidden_size: 193,
                ..good.clone()
            }),
            ["hidden_size"]
        );
        assert_eq!(
            refused(LlamaConfig {
                hidden_size: 12,
                ..good.clone()
            }),
            ["hidden_size"]
        ); // heads of 3 cannot be rotated
        assert_eq!(
            refused(LlamaConfig {
                num_key_value_heads: 3,
                ..good.clone()
            }),
            ["num_attention_heads"]
        );
        assert_eq!(
            refused(LlamaConfig {
                num_attention_heads: 0,
                ..good.clone()
            }),
            ["num_attention_heads"]
        );
        assert_eq!(
            refused(LlamaConfig {
                num_hidden_layers: usize::MAX,
                ..good.clone()
            }),
            ["num_hidden_layers"]
        );
        assert_eq!(
            refused(LlamaConfig {
                rope_theta: f64::NAN,
                ..good
            }),
            ["rope_theta"]
        );
    }

    #[test]
    fn the_largest_valid_model_at_the_largest_rank_still_has_a_byte_count() {
        let largest = LlamaConfig {
            vocab_size: TOKENS,
            hidden_size: WIDTH,
            intermediate_size: WIDTH,
            num_hidden_layers: LAYERS,
            ..LlamaConfig::preset("tiny").expect("a preset")
        };
        let largest = LlamaConfig {
            num_attention_heads: 1024,
            num_key_value_heads: 1024,
            ..largest
        };
        largest.validate().expect("within the limits");
        for method in switchlora_core::Method::ALL {
            assert!(method.cost(&largest.shape(), WIDTH).state_bytes() > 1 << 58);
        }
    }
}
