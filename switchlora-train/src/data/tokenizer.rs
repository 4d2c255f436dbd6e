//! Encodes text to token ids and back, with the embedded tokenizer or a Hugging Face `tokenizer.json`.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::DataError;
use super::cuts::Cuts;
use super::words::Words;
use crate::hexadecimal;
use crate::quietly::quietly;

/// End-of-text tokens in order of preference: GPT, LLaMA 1 and 2, LLaMA 3, others.
const END_OF_TEXT: &[&str] = &["<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>"];

/// The byte-level BPE tokenizer of 4096 tokens that `examples/embed_sotu.rs` trained on the embedded text.
static EMBEDDED: &[u8] = include_bytes!("../../assets/tokenizer.json");

/// A tokenizer and the exact JSON it was read from, which checkpoints and exports copy.
///
/// Encoding adds no special tokens and never truncates or pads, whatever the JSON says.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) inner: tokenizers::Tokenizer,
    json: Arc<[u8]>,
    sha256: [u8; 32],
    vocab_size: usize,
    end_of_text: u32,
    cuts: OnceLock<Cuts>,
    pub(super) words: Words,
}

impl Tokenizer {
    /// The embedded byte-level BPE tokenizer of 4096 tokens. It encodes any text.
    ///
    /// # Errors
    ///
    /// [`DataError::TokenizerFormat`] if the program was built with a damaged `assets/tokenizer.json`.
    pub fn embedded() -> Result<Self, DataError> {
        Self::from_json("the embedded tokenizer", EMBEDDED)
    }

    /// Reads a `tokenizer.json` as Hugging Face writes it.
    ///
    /// # Errors
    ///
    /// [`DataError::PathMissing`], [`DataError::Unreadable`], and the errors of [`Tokenizer::from_json`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let json = fs::read(path).map_err(|reason| DataError::unreadable(path, reason))?;
        Self::from_json(&path.display().to_string(), json)
    }

    /// Reads the contents of a `tokenizer.json`. Error messages name their source as `origin`.
    ///
    /// # Errors
    ///
    /// [`DataError::TokenizerFormat`] if `json` is not a tokenizer, [`DataError::NoEndOfText`] if its vocabulary has no
    /// end-of-text token.
    pub fn from_json(origin: &str, json: impl Into<Arc<[u8]>>) -> Result<Self, DataError> {
        let json = json.into();
        let malformed = |error: tokenizers::Error| DataError::TokenizerFormat {
            origin: origin.to_string(),
            reason: error.to_string(),
        };
        // The `tokenizers` crate panics on some damaged files.
        let read = quietly(|| tokenizers::Tokenizer::from_bytes(&json));
        let read = read.unwrap_or_else(|panic| Err(panic.into()));
        let mut inner = read.map_err(malformed)?;
        inner
            .with_truncation(None)
            .map_err(malformed)?
            .with_padding(None);

        let end_of_text = END_OF_TEXT
            .iter()
            .find_map(|token| inner.token_to_id(token));
        let highest = inner.get_vocab(true).into_values().max();
        let (Some(end_of_text), Some(highest)) = (end_of_text, highest) else {
            return Err(DataError::NoEndOfText {
                origin: origin.to_string(),
                looked_for: END_OF_TEXT,
            });
        };
        Ok(Self {
            inner,
            sha256: Sha256::digest(&json).into(),
            json,
            vocab_size: highest as usize + 1,
            end_of_text,
            cuts: OnceLock::new(),
            words: Words::default(),
        })
    }

    /// Vocabulary size a model needs: one more than the highest id, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Id of the end-of-text token, which ends every document.
    pub fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// Where long texts may be cut; found on first use.
    pub(super) fn cuts(&self) -> Cuts {
        *self
            .cuts
            .get_or_init(|| Cuts::of(|text| self.encode(text).ok()))
    }

    /// The token with this id, as written in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Encodes a text to ids.
    ///
    /// A special token written out in the text becomes its id: files that separate documents with it rely on that.
    ///
    /// # Errors
    ///
    /// [`DataError::Encode`] if the tokenizer refuses, for example because it has no token for unknown text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| DataError::Encode {
                document: "the text".to_string(),
                reason: error.to_string(),
            })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Decodes ids to text. Special tokens and unknown ids are left out.
    ///
    /// # Errors
    ///
    /// [`DataError::Decode`] if the tokenizer's decoder refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.inner
            .decode(ids, true)
            .map_err(|error| DataError::Decode {
                tokens: ids.len(),
                reason: error.to_string(),
            })
    }

    /// The JSON this tokenizer was read from, byte for byte.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// A shared handle to [`Tokenizer::json`].
    pub fn shared_json(&self) -> Arc<[u8]> {
        self.json.clone()
    }

    /// SHA-256 of [`Tokenizer::json`].
    pub fn sha256_bytes(&self) -> [u8; 32] {
        self.sha256
    }

    /// [`Tokenizer::sha256_bytes`] in hexadecimal.
    pub fn sha256(&self) -> String {
        hexadecimal(self.sha256)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size)
            .field("end_of_text", &self.end_of_text)
            .field("sha256", &self.sha256())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// The embedded tokenizer with a change to its JSON.
    fn altered(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, DataError> {
        let mut value = serde_json::from_slice(EMBEDDED).unwrap();
        change(&mut value);
        Tokenizer::from_json("altered.json", serde_json::to_vec(&value).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_comes_back_from_its_ids(text in "\\PC{0,60}") {
            let tokenizer = Tokenizer::embedded().unwrap();
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_damaged_file_is_refused_or_read_but_harms_nothing(at: prop::sample::Index, byte: u8, cut: bool) {
            let mut json = EMBEDDED.to_vec();
            let at = at.index(json.len());
            json[at] = byte;
            if cut {
                json.truncate(at);
            }
            if let Ok(tokenizer) = Tokenizer::from_json("damaged.json", json) {
                let _ = tokenizer.encode("We the people").map(|ids| tokenizer.decode(&ids));
            }
        }
    }

    #[test]
    fn the_embedded_tokenizer_has_4096_tokens_and_ends_texts_with_0() {
        let tokenizer = Tokenizer::embedded().unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (4096, 0));
        assert_eq!(tokenizer.encode("<|endoftext|>").unwrap(), [0]);
        assert_eq!(tokenizer.json(), EMBEDDED);
    }

    #[test]
    fn the_hash_is_the_sha256_of_the_json() {
        let tokenizer = Tokenizer::embedded().unwrap();
        let again = Tokenizer::from_json("a copy", tokenizer.json()).unwrap();
        // assets/README.md holds the output of `sha256sum`.
        let readme = include_str!("../../assets/README.md");
        assert!(readme.contains(&tokenizer.sha256()));
        assert_eq!(tokenizer.sha256(), again.sha256());
        assert_ne!(tokenizer.sha256(), altered(|_| ()).unwrap().sha256());
    }

    #[test]
    fn truncation_and_padding_in_the_file_are_not_obeyed() {
        let tokenizer = altered(|value| {
            value["truncation"] = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
            value["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
        });
        let text = "the Congress of the United States";
        let expected = Tokenizer::embedded().unwrap().encode(text).unwrap();
        assert!(expected.len() > 2);
        assert_eq!(tokenizer.unwrap().encode(text).unwrap(), expected);
    }

    #[test]
    fn an_id_beyond_the_count_of_tokens_makes_room_for_itself() {
        let tokenizer = altered(|value| value["model"]["vocab"]["far"] = json!(4999));
        assert_eq!(tokenizer.unwrap().vocab_size(), 5000);
    }

    #[test]
    fn a_tokenizer_without_an_end_of_text_is_refused() {
        let error = altered(|value| {
            value["added_tokens"] = json!([]);
            let vocab = value["model"]["vocab"].as_object_mut().unwrap();
            vocab.remove("<|endoftext|>");
        })
        .unwrap_err();
        assert!(matches!(error, DataError::NoEndOfText { .. }));
        let message = error.to_string();
        assert!(
            message.starts_with("altered.json") && message.contains("</s>"),
            "{message}"
        );
    }

    #[test]
    fn a_file_that_is_not_a_tokenizer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let missing = Tokenizer::from_file(&path).unwrap_err();
        assert!(matches!(missing, DataError::PathMissing { .. }));

        // A decoder of an unknown type makes the `tokenizers` crate panic.
        let no_kind = String::from_utf8(EMBEDDED.to_vec()).unwrap();
        let no_kind = no_kind.replacen("\"ByteLevel\"", "\"Other\"", 2);
        let wrong = ["", "{}", "[1, 2]", "\u{0}", r#"{"model": {"type": "BPE"}}"#];
        for wrong in wrong.into_iter().chain([&no_kind[..]]) {
            fs::write(&path, wrong).unwrap();
            let error = Tokenizer::from_file(&path).unwrap_err();
            assert!(
                matches!(error, DataError::TokenizerFormat { .. }),
                "{wrong:?}: {error}"
            );
        }
    }
}
