//! The tokens around a prompt, and those that end a text.

use super::{CONFIG, GENERATION};
use crate::data::{DataError, Tokenizer, check_ids};
use crate::lenient_json::{object, read_at_most};
use serde_json::{Map, Value};
use std::path::Path;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The begin-of-text and end-of-text tokens of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextEnds {
    /// Begin-of-text token: begins a text that has no token otherwise.
    pub begin: u32,
    /// End-of-text tokens, at least one. Each of them ends a text.
    pub end: Vec<u32>,
    /// The ids before each prompt; the tokenizer's own if there are none.
    before: Option<Vec<u32>>,
}

impl TextEnds {
    /// One token for both, as in a packed corpus, where the end-of-text token of a document precedes the next document.
    pub fn both(token: u32) -> Self {
        Self {
            begin: token,
            end: vec![token],
            before: Some(vec![token]),
        }
    }

    /// Those that a run was trained on. A prompt begins as a document does; where no token begins a document, the end of the
    /// one before does.
    ///
    /// The tokens with which the model of a folder ended texts before the run still end a text.
    pub fn of_run(tokenizer: &Tokenizer, vocab_size: usize) -> Self {
        let record = tokenizer.record();
        let token = tokenizer.end_of_text();
        let before = match record.begin.is_empty() {
            true => vec![token],
            false => record.begin.clone(),
        };
        let mut end = vec![token];
        let others = record.beside.ids("eos_token_id").map(|(ids, _)| ids);
        let others = others.filter(|_| record.of_model);
        let known = |id: &u32| (*id as usize) < vocab_size && *id != token;
        end.extend(others.into_iter().flatten().filter(known));
        Self {
            begin: before.last().copied().unwrap_or(token),
            end,
            before: Some(before),
        }
    }

    /// Those of a folder, as `transformers` uses them: a prompt is what `tokenizer(prompt)` gives. Ids that are not below
    /// `vocab_size` are ignored. Where the folder names no id, the tokens of `tokenizer` are used.
    ///
    /// `generation_config.json` takes precedence over `config.json`, as in transformers.
    pub fn of_folder(folder: &Path, tokenizer: &Tokenizer, vocab_size: usize) -> Self {
        let keys = |name| {
            let bytes = read_at_most(&folder.join(name), LARGEST).ok()??;
            object(&bytes).ok()
        };
        let files = [GENERATION, CONFIG].map(keys);
        let ids = |key: &str| {
            let mut files = files.iter().flatten();
            files.find_map(|file| ids(file, key, vocab_size))
        };
        let own = tokenizer.end_of_text();
        let begin = ids("bos_token_id").map(|ids| ids[0]);
        Self {
            begin: begin.or(tokenizer.begin_of_text()).unwrap_or(own),
            end: ids("eos_token_id").unwrap_or_else(|| vec![own]),
            before: None,
        }
    }

    /// Those of a tokenizer that is not the one of the model's folder.
    pub fn of_tokenizer(tokenizer: &Tokenizer) -> Self {
        let end = tokenizer.end_of_text();
        Self {
            begin: tokenizer.begin_of_text().unwrap_or(end),
            end: vec![end],
            before: None,
        }
    }

    /// The tokens of a prompt, at least one.
    ///
    /// # Errors
    ///
    /// [`DataError::Encode`]; [`DataError::NoEmbedding`] for a token with an id that is not below `vocab_size`.
    pub fn prompt(
        &self,
        tokenizer: &Tokenizer,
        prompt: &str,
        vocab_size: usize,
    ) -> Result<Vec<u32>, DataError> {
        let mut tokens = match &self.before {
            Some(before) => [&before[..], &tokenizer.encode(prompt)?].concat(),
            None => tokenizer.encode_framed(prompt)?,
        };
        if tokens.is_empty() {
            tokens.push(self.begin);
        }
        check_ids(&tokens, 0, vocab_size).map_err(|error| tokenizer.naming(error))?;
        Ok(tokens)
    }

    /// The ids before and after a document that is evaluated alone: those of a prompt.
    pub fn around(&self, tokenizer: &Tokenizer) -> (Vec<u32>, Vec<u32>) {
        match &self.before {
            Some(before) => (before.clone(), Vec::new()),
            None => tokenizer.frame(),
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
        let tokenizer = Tokenizer::embedded().unwrap();
        let write = |name, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let found = || {
            let TextEnds { begin, end, .. } = TextEnds::of_folder(folder.path(), &tokenizer, 100);
            (begin, end)
        };
        assert_eq!(found(), (0, vec![0]));
        write(CONFIG, r#"{"bos_token_id": 1, "eos_token_id": 2}"#);
        assert_eq!(found(), (1, vec![2]));
        write(
            GENERATION,
            r#"{"bos_token_id": null, "eos_token_id": [3, 100, -1, 4]}"#,
        );
        assert_eq!(found(), (1, vec![3, 4]));
        write(GENERATION, "no JSON");
        assert_eq!(found().1, [2]);
    }
}
