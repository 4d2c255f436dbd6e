//! Reads the begin-of-text and end-of-text tokens from `generation_config.json` and `config.json`.

use super::{CONFIG, GENERATION};
use crate::model::config::hf::read_json;
use serde_json::{Map, Value};
use std::path::Path;

/// The begin-of-text and end-of-text tokens of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextEnds {
    /// Begin-of-text token, put before every text.
    pub begin: u32,
    /// End-of-text tokens, at least one. Each of them ends a text.
    pub end: Vec<u32>,
}

impl TextEnds {
    /// One token for both, as in a packed corpus, where the end-of-text token of a document precedes the next document.
    pub fn both(token: u32) -> Self {
        Self {
            begin: token,
            end: vec![token],
        }
    }

    /// Reads the tokens from a folder, and ignores ids that are not below `vocab_size`. `otherwise` replaces tokens
    /// that the folder does not name.
    ///
    /// `generation_config.json` takes precedence over `config.json`, as in transformers.
    pub(super) fn of_folder(folder: &Path, vocab_size: usize, otherwise: u32) -> Self {
        let files = [GENERATION, CONFIG].map(|name| read_json(&folder.join(name)).ok());
        let ids = |key: &str| {
            let mut files = files.iter().flatten();
            files.find_map(|file| ids(file, key, vocab_size))
        };
        Self {
            begin: ids("bos_token_id").map_or(otherwise, |ids| ids[0]),
            end: ids("eos_token_id").unwrap_or_else(|| vec![otherwise]),
        }
    }
}

/// The ids below `vocab_size` under a key, which holds one id or a list. `None` if there is none.
fn ids(file: &Map<String, Value>, key: &str, vocab_size: usize) -> Option<Vec<u32>> {
    let values = match file.get(key)? {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let known = |value: &Value| {
        let id = u32::try_from(value.as_u64()?).ok()?;
        ((id as usize) < vocab_size).then_some(id)
    };
    let ids: Vec<u32> = values.iter().filter_map(known).collect();
    (!ids.is_empty()).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_config_wins_and_what_no_model_knows_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let found = || TextEnds::of_folder(folder.path(), 100, 7);
        assert_eq!(found(), TextEnds::both(7));
        write(CONFIG, r#"{"bos_token_id": 1, "eos_token_id": 2}"#);
        assert_eq!((found().begin, found().end), (1, vec![2]));
        write(
            GENERATION,
            r#"{"bos_token_id": null, "eos_token_id": [3, 100, -1, 4]}"#,
        );
        assert_eq!((found().begin, found().end), (1, vec![3, 4]));
        write(GENERATION, "no JSON");
        assert_eq!(found().end, [2]);
    }
}
