//! The ids of a text, word by word: a word that has been seen is looked up, not encoded again.
//!
//! What a tokenizer's own `encode` makes of a text beside its ids (tokens, offsets, masks) is most of its work. Here the text is
//! normalized and divided by the tokenizer, and each word goes to its model once.

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokenizers::models::ModelWrapper;
use tokenizers::{Model, OffsetReferential, OffsetType, PreTokenizer, Result};

/// Words that a cache holds; when it is full it begins again. Text has most of its words from a few ten thousand.
const MOST: usize = 1 << 16;
/// Bytes of the longest word that is kept.
const LONGEST: usize = 64;

type Cache = HashMap<Box<str>, Box<[u32]>>;

/// What is known about words, in a cache for each thread that works at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(Arc<Mutex<Vec<Cache>>>);

impl Words {
    /// The ids of `text`, those that `tokenizer.encode_fast(text, false)` has, for the tokenizer that this belongs to.
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
    // With dropout a word has other ids each time.
    let by_chance = matches!(model, ModelWrapper::BPE(bpe) if bpe.dropout.is_some_and(|p| p > 0.0));
    let mut ids = Vec::with_capacity(text.len() / 3);
    for (word, _, tokens) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        if let Some(tokens) = tokens {
            ids.extend(tokens.iter().map(|token| token.id));
        } else if let Some(known) = cache.get(word) {
            ids.extend_from_slice(known);
        } else {
            let from = ids.len();
            ids.extend(model.tokenize(word)?.into_iter().map(|token| token.id));
            if word.len() <= LONGEST && !by_chance {
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
            // Twice: what is looked up is what was found.
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
