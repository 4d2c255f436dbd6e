//! The classes of tokenizers in `transformers`: their default special tokens, and what they change in a `tokenizer.json`.

use serde_json::{Map, Value};

/// A class of `transformers`, as far as it changes a `tokenizer.json`.
pub(super) struct Class {
    bos: Option<&'static str>,
    eos: Option<&'static str>,
    unk: Option<&'static str>,
    pad: Option<&'static str>,
    /// Default of `add_bos_token`, if the class puts begin and end tokens around texts itself.
    pub frames: Option<bool>,
    /// Whether `add_prefix_space` replaces that of the file.
    pub spaces: bool,
}

impl Class {
    fn named(name: &str) -> Self {
        let none = Self {
            bos: None,
            eos: None,
            unk: None,
            pad: None,
            frames: None,
            spaces: false,
        };
        let gpt = Some("<|endoftext|>");
        match name.trim_end_matches("Fast") {
            "LlamaTokenizer" | "CodeLlamaTokenizer" => Self {
                bos: Some("<s>"),
                eos: Some("</s>"),
                unk: Some("<unk>"),
                frames: Some(true),
                ..none
            },
            "GemmaTokenizer" => Self {
                bos: Some("<bos>"),
                eos: Some("<eos>"),
                unk: Some("<unk>"),
                pad: Some("<pad>"),
                frames: Some(true),
                ..none
            },
            "CohereTokenizer" => Self {
                bos: Some("<BOS_TOKEN>"),
                eos: Some("<|END_OF_TURN_TOKEN|>"),
                unk: Some("<UNK>"),
                frames: Some(true),
                ..none
            },
            "GPT2Tokenizer" => Self {
                bos: gpt,
                eos: gpt,
                unk: gpt,
                spaces: true,
                ..none
            },
            "GPTNeoXTokenizer" => Self {
                bos: gpt,
                eos: gpt,
                unk: gpt,
                frames: Some(false),
                spaces: true,
                ..none
            },
            "Qwen2Tokenizer" => Self {
                eos: gpt,
                unk: gpt,
                pad: gpt,
                ..none
            },
            "T5Tokenizer" => Self {
                eos: Some("</s>"),
                unk: Some("<unk>"),
                pad: Some("<pad>"),
                ..none
            },
            _ => none,
        }
    }

    /// The default of a key of a special token.
    pub fn default(&self, key: &str) -> Option<&'static str> {
        match key {
            "bos_token" => self.bos,
            "eos_token" => self.eos,
            "unk_token" => self.unk,
            "pad_token" => self.pad,
            _ => None,
        }
    }
}

/// The class that `AutoTokenizer` chooses: the one that the files name, else that of the model's type.
pub(super) fn class(settings: &Map<String, Value>, config: &Map<String, Value>) -> Class {
    let named = settings.get("tokenizer_class").and_then(Value::as_str);
    Class::named(named.unwrap_or_else(|| of_config(config)))
}

/// The name of the class that `config.json` decides; empty for one without rules of its own.
pub(super) fn of_config(config: &Map<String, Value>) -> &str {
    let by_type = || match config.get("model_type").and_then(Value::as_str) {
        Some("llama" | "mistral" | "mixtral" | "phi3") => "LlamaTokenizer",
        Some("code_llama") => "CodeLlamaTokenizer",
        Some("gemma" | "gemma2") => "GemmaTokenizer",
        Some("cohere") => "CohereTokenizer",
        Some("gpt2") => "GPT2Tokenizer",
        Some("gpt_neox") => "GPTNeoXTokenizer",
        Some("qwen2" | "qwen2_moe") => "Qwen2Tokenizer",
        Some("t5" | "mt5") => "T5Tokenizer",
        _ => "",
    };
    let named = config.get("tokenizer_class").and_then(Value::as_str);
    named.unwrap_or_else(by_type)
}
