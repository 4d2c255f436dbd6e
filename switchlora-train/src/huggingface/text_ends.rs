//! The tokens that begin and end a text, as `config.json` and `generation_config.json` name them.

use super::files::optional_json;
use super::{CONFIG, GENERATION};
use serde_json::{Map, Value};
use std::path::Path;

/// The tokens that begin and end a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextEnds {
    /// Put before every text.
    pub begin: u32,
    /// Each of them ends a text; at least one.
    pub end: Vec<u32>,
}

impl TextEnds {
    /// One token for both: each text begins after the end of another, as in a packed corpus.
    pub fn both(token: u32) -> Self {
        Self {
            begin: token,
            end: vec![token],
        }
    }

    /// What a folder says, for ids below `vocab_size`; `otherwise` for what it does not say.
    ///
    /// `generation_config.json` wins over `config.json`, as in transformers.
    pub(super) fn of_folder(folder: &Path, vocab_size: usize, otherwise: u32) -> Self {
        let files = [GENERATION, CONFIG].map(|name| optional_json(&folder.join(name)));
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

/// The id, or ids, under a key; none if there is none that the model knows.
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
