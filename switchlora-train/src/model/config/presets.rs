//! Presets: the models of the paper and two small ones, as data.

use super::architecture::{INITIALIZER_RANGE, LlamaConfig, RMS_NORM_EPS, ROPE_THETA};

/// A row of [`PRESETS`].
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Name for `--model`.
    pub name: &'static str,
    /// The whole configuration.
    pub config: LlamaConfig,
}

/// Two small models of our own, then the models of the paper.
pub const PRESETS: [Preset; 13] = [
    // Our own: for trainings of twenty tokens a parameter in minutes, and for the default run, on two CPU cores.
    own("nano", 64, 176, true),
    own("tiny", 128, 352, false),
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

/// A small model with the vocabulary of the embedded tokenizer.
const fn own(
    name: &'static str,
    hidden_size: usize,
    intermediate_size: usize,
    tie_word_embeddings: bool,
) -> Preset {
    let mut preset = paper(name, hidden_size, intermediate_size, 4, 4);
    preset.config.vocab_size = 4096;
    preset.config.max_position_embeddings = 256;
    preset.config.tie_word_embeddings = tie_word_embeddings;
    preset
}

/// A model of the paper: as many key-value heads as heads, an untied head, Hugging Face's defaults.
const fn paper(
    name: &'static str,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    heads: usize,
) -> Preset {
    let config = LlamaConfig {
        vocab_size: 32_100,
        hidden_size,
        intermediate_size,
        num_hidden_layers,
        num_attention_heads: heads,
        num_key_value_heads: heads,
        max_position_embeddings: 1024,
        rms_norm_eps: RMS_NORM_EPS,
        rope_theta: ROPE_THETA,
        initializer_range: INITIALIZER_RANGE,
        tie_word_embeddings: false,
        classifier: None,
    };
    Preset { name, config }
}

impl LlamaConfig {
    /// The preset called `name`, if there is one.
    pub fn preset(name: &str) -> Option<Self> {
        let found = PRESETS.into_iter().find(|preset| preset.name == name);
        found.map(|preset| preset.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_as_many_parameters_as_their_names_say() {
        let millions =
            PRESETS.map(|preset| (preset.config.num_parameters() as f64 / 1e5).round() / 10.0);
        assert_eq!(
            millions,
            [
                0.5, 1.9, 9.0, 19.6, 35.3, 58.2, 70.7, 134.3, 247.5, 368.2, 1339.5, 2686.3, 6739.2
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
}
