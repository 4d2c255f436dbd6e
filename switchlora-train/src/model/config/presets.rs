//! The models of the paper and our own small one, as data.

use super::LlamaConfig;
use super::hf::{INITIALIZER_RANGE, RMS_NORM_EPS, ROPE_THETA};

/// One row of [`PRESETS`]; what it does not say is the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What `--model` calls it.
    pub name: &'static str,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads, and key-value heads.
    pub num_attention_heads: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// The longest sequence.
    pub max_position_embeddings: usize,
}

/// The model of the default run, then those of the paper.
pub const PRESETS: [Preset; 12] = [
    // Ours, for the default run on two CPU cores.
    Preset {
        vocab_size: 4096,
        max_position_embeddings: 256,
        ..paper("tiny", 128, 352, 4, 4)
    },
    paper("9m", 128, 352, 4, 4),
    paper("20m", 256, 688, 4, 4),
    paper("35m", 384, 1024, 6, 8),
    paper("60m", 512, 1376, 8, 8),
    paper("71m", 512, 1368, 12, 8),
    paper("130m", 768, 2048, 12, 12),
    paper("250m", 768, 2560, 24, 16),
    paper("350m", 1024, 2736, 24, 16),
    paper("1b", 2048, 5461, 24, 32),
    paper("3b", 2560, 6848, 32, 32),
    paper("7b", 4096, 11008, 32, 32),
];

const fn paper(
    name: &'static str,
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
) -> Preset {
    Preset {
        name,
        hidden_size: hidden,
        intermediate_size: intermediate,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        vocab_size: 32_100,
        max_position_embeddings: 1024,
    }
}

impl Preset {
    /// The whole configuration: as many key-value heads as heads, untied head, Hugging Face's defaults.
    pub fn config(&self) -> LlamaConfig {
        LlamaConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_attention_heads,
            max_position_embeddings: self.max_position_embeddings,
            rms_norm_eps: RMS_NORM_EPS,
            rope_theta: ROPE_THETA,
            initializer_range: INITIALIZER_RANGE,
            tie_word_embeddings: false,
        }
    }
}

impl LlamaConfig {
    /// The preset called `name`, if there is one.
    pub fn preset(name: &str) -> Option<Self> {
        PRESETS
            .iter()
            .find(|preset| preset.name == name)
            .map(Preset::config)
    }
}

pub(super) fn preset_names() -> String {
    PRESETS.map(|preset| preset.name).join(", ")
}

/// The preset that `name` contains or from which it is one or two keystrokes away.
pub(super) fn closest_preset(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let near = |preset: &&str| {
        name.contains(*preset) || keystrokes(&name, preset) <= 2.min(preset.len() - 1)
    };
    PRESETS
        .iter()
        .map(|preset| preset.name)
        .filter(near)
        .min_by_key(|preset| keystrokes(&name, preset))
}

/// Levenshtein's distance: insertions, deletions and replacements from `from` to `to`.
fn keystrokes(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_as_many_parameters_as_their_names_say() {
        let millions =
            PRESETS.map(|preset| (preset.config().num_parameters() as f64 / 1e5).round() / 10.0);
        assert_eq!(
            millions,
            [
                1.9, 9.0, 19.6, 35.3, 58.2, 70.7, 134.3, 247.5, 368.2, 1339.5, 2686.3, 6739.2
            ]
        );
    }

    #[test]
    fn llama_7b_with_metas_vocabulary_has_the_published_number_of_parameters() {
        let config = LlamaConfig {
            vocab_size: 32_000,
            ..LlamaConfig::preset("7b").expect("a preset")
        };
        assert_eq!(config.num_parameters(), 6_738_415_616);
    }

    #[test]
    fn a_name_that_is_no_preset_is_answered_with_the_presets_and_the_closest() {
        let message = |name: &str| {
            LlamaConfig::resolve(name)
                .expect_err("no such model")
                .to_string()
        };
        assert!(
            message("305m").ends_with("config.json; did you mean `35m`?"),
            "{}",
            message("305m")
        );
        assert!(message("1B").ends_with("did you mean `1b`?"));
        assert!(message("llama_130m").ends_with("did you mean `130m`?"));
        assert_eq!(
            message("mixtral"),
            "no model `mixtral`: expected tiny, 9m, 20m, 35m, 60m, 71m, 130m, 250m, 350m, 1b, 3b, 7b, \
             a Hugging Face folder or the path of a Hugging Face config.json"
        );
    }
}
