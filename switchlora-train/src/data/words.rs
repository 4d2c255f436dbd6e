//! Encodes a text word by word and caches the ids of each word, so that a repeated word is not encoded again.
//!
//! `Tokenizer::encode` of the `tokenizers` crate also computes token strings, offsets and masks, which are not needed
//! here and take most of its time. This module lets the tokenizer normalize and pre-tokenize the text, then calls its
//! model once per word.

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokenizers::{Model, OffsetReferential, OffsetType, PreTokenizer, Result};

/// Most words in a cache; a full cache is emptied. A few ten thousand distinct words make up most of a text.
const MOST: usize = 1 << 16;
/// Longest word that is cached, in bytes.
const LONGEST: usize = 64;

type Cache = HashMap<Box<str>, Box<[u32]>>;

/// Caches from a word to its ids. Each thread that encodes takes one cache for the time of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(Arc<Mutex<Vec<Cache>>>);

impl Words {
    /// Encodes `text` to the same ids as `tokenizer.encode_fast(text, false)`. The caches belong to one tokenizer:
    /// always pass the same `tokenizer`.
    ///
    /// # Errors
    ///
    /// The error of the tokenizer's pre-tokenizer or model.
    pub fn ids(&self, tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>> {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cache = free().pop().unwrap_or_default();
        let ids = ids(&mut cache, tokenizer, text);
        free().push(cache);
        ids
    }
}

fn ids(cache: &mut Cache, tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>> {
    let added = tokenizer.get_added_vocabulary();
    let mut words = added.extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(divides) = tokenizer.get_pre_tokenizer() {
        divides.pre_tokenize(&mut words)?;
    }
    let model = tokenizer.get_model();
    let mut ids = Vec::with_capacity(text.len() / 3);
    for (word, _, tokens) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        if let Some(tokens) = tokens {
            ids.extend(tokens.iter().map(|token| token.id));
        } else if let Some(known) = cache.get(word) {
            ids.extend_from_slice(known);
        } else {
            let from = ids.len();
            ids.extend(model.tokenize(word)?.into_iter().map(|token| token.id));
            if word.len() <= LONGEST {
                if cache.len() >= MOST {
                    cache.clear();
                }
                cache.insert(word.into(), ids[from..].into());
            }
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::super::{Corpus, Tokenizer};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn ids_are_those_of_the_tokenizer_itself(texts in prop::collection::vec("([a-c é世\n.]|<\\|endoftext\\|>|\\PC){0,40}", 1..5)) {
            let tokenizer = Tokenizer::embedded().unwrap();
            // The second pass reads from the cache.
            for text in texts.iter().chain(&texts) {
                let expected = tokenizer.inner.encode_fast(text.as_str(), false).unwrap();
                let found = tokenizer.words.ids(&tokenizer.inner, text).unwrap();
                prop_assert_eq!(&found[..], expected.get_ids());
            }
        }
    }

    #[test]
    fn ids_of_a_corpus_in_the_t5_tokenizer_are_those_of_the_tokenizer_itself() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/data/tokenizers/t5.json"
        );
        if !std::path::Path::new(path).exists() {
            eprintln!("skipped: no ../shared/data/tokenizers/t5.json");
            return;
        }
        let tokenizer = Tokenizer::from_file(path).unwrap();
        for document in &Corpus::embedded().unwrap().validation[..3] {
            let expected = tokenizer
                .inner
                .encode_fast(document.text.as_str(), false)
                .unwrap();
            let found = tokenizer
                .words
                .ids(&tokenizer.inner, &document.text)
                .unwrap();
            assert!(found == expected.get_ids(), "{}", document.name);
        }
    }
}
