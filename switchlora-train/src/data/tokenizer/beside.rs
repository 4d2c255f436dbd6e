//! The small files beside a `tokenizer.json`, which say how `transformers` uses it and the model.

use super::super::DataError;
use super::class::of_config;
use crate::advice::advice;
use crate::lenient_json::{object, read_at_most};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// File name of the tokenizer's settings: its class, special tokens and chat template.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// File name of the special tokens, in older folders.
pub const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
/// File name of the tokens added to the vocabulary, in older folders.
pub const ADDED_TOKENS: &str = "added_tokens.json";
/// File name of the settings to generate with, such as the end-of-text tokens.
pub const GENERATION: &str = "generation_config.json";
/// File name of the model configuration. Only the keys that concern tokens are kept of it.
pub const CONFIG: &str = "config.json";

const FILES: [&str; 7] = [
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS_MAP,
    ADDED_TOKENS,
    "chat_template.jinja",
    "chat_template.json",
    GENERATION,
    CONFIG,
];
const KEPT_OF_CONFIG: [&str; 6] = [
    "model_type",
    "tokenizer_class",
    "vocab_size",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
];
/// Keys in which `transformers` notes where its files were.
const PLACES: [&str; 5] = [
    "name_or_path",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "special_tokens_map_file",
];
/// Largest file that is read, in bytes. A list of a hundred thousand added tokens has a tenth of it.
const LARGEST: u64 = 128 << 20;

/// The files beside a `tokenizer.json`, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Beside(BTreeMap<String, String>);

impl Beside {
    /// The names that these files have.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.into_iter()
    }

    /// Reads the files of `folder`.
    ///
    /// A `config.json` or `generation_config.json` that is not JSON is left out: `transformers` uses the tokenizer without
    /// them too.
    ///
    /// # Errors
    ///
    /// [`DataError::BesideTokenizer`] for a file of the tokenizer that cannot be read.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, DataError> {
        let mut files = BTreeMap::new();
        for name in FILES {
            let path = folder.join(name);
            let refused = |reason: String| DataError::BesideTokenizer {
                path: path.clone(),
                reason,
            };
            let wrong = |reason: String| refused(format!("{reason}; correct the file"));
            let bytes = match read_at_most(&path, LARGEST) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Err(wrong(format!("has more than {LARGEST} bytes"))),
                Err(reason) if reason.kind() == io::ErrorKind::NotFound => continue,
                Err(reason) => {
                    let advice = advice(&reason);
                    return Err(refused(format!("cannot be read ({reason}); {advice}")));
                }
            };
            let text = match name.ends_with(".json") {
                true => match (object(&bytes), name) {
                    (Ok(keys), _) => without_places(name, keys, &bytes),
                    // Whoever opens the model says what is wrong with it.
                    (Err(_), CONFIG | GENERATION) => continue,
                    (Err(reason), _) => return Err(wrong(reason)),
                },
                false => String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?,
            };
            files.insert(name.to_owned(), text);
        }
        Ok(Self(files))
    }

    /// The files, by name, but `config.json`.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.0.iter().filter(|(name, _)| *name != CONFIG);
        files.map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The keys of a file; none if there is no such file.
    pub fn keys(&self, name: &str) -> Map<String, Value> {
        let text = self.0.get(name).map(String::as_bytes);
        text.and_then(|text| object(text).ok()).unwrap_or_default()
    }

    /// The ids under a key, which holds one id or a list, and the file that has them. `generation_config.json` takes
    /// precedence over `config.json`, as in `transformers`.
    pub fn ids(&self, key: &str) -> Option<(Vec<u32>, &'static str)> {
        [GENERATION, CONFIG]
            .into_iter()
            .find_map(|name| Some((ids(self.keys(name).get(key)?)?, name)))
    }

    /// The class of the tokenizer in `transformers`, where there are files that do not name it themselves: that which
    /// `config.json` decides, so that another `config.json` beside them has to name it.
    pub fn class_of_config(&self) -> Option<String> {
        let settings = self.keys(TOKENIZER_CONFIG);
        if self.0.is_empty() || settings.contains_key("tokenizer_class") {
            return None;
        }
        Some(match of_config(&self.keys(CONFIG)) {
            "" => "PreTrainedTokenizerFast".to_owned(),
            name => name.to_owned(),
        })
    }

    /// The vocabulary size of the model in the folder.
    pub(super) fn vocab_size(&self) -> Option<u64> {
        self.keys(CONFIG).get("vocab_size")?.as_u64()
    }
}

/// One id or a list of ids; entries that are no ids are passed over. `None` if there is none.
fn ids(value: &Value) -> Option<Vec<u32>> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    let ids: Vec<u32> = values.iter().filter_map(id).collect();
    (!ids.is_empty()).then_some(ids)
}

/// The text of a file without paths of the machine where it was written; byte for byte if there are none.
fn without_places(name: &str, mut keys: Map<String, Value>, bytes: &[u8]) -> String {
    let before = keys.len();
    match name {
        CONFIG => keys.retain(|key, _| KEPT_OF_CONFIG.contains(&key.as_str())),
        _ => keys.retain(|key, value| {
            let path = value
                .as_str()
                .is_some_and(|path| Path::new(path).is_absolute());
            !(path && PLACES.contains(&key.as_str()))
        }),
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if keys.len() == before && !text.starts_with('\u{feff}') => text.to_owned(),
        _ => format!("{:#}\n", Value::Object(keys)),
    }
}
